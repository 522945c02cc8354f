"""Events of crew_repo on CrewAI's event bus: what a run does with each task, and why.

    from crewai.events import crewai_event_bus
    from crew_repo.events import TaskReused

    @crewai_event_bus.on(TaskReused)
    def note(task, event):
        print(event.task_name, event.tokens_saved)

Each task has one `TaskReused` or `TaskOverridden` in a run if an answer was served. It has one `TaskStale` if it is
executed, and a `TaskFailed` after that if it raised. Listeners are called as CrewAI calls those of its own events: in
other threads, perhaps after the next task has begun, and what they raise is printed and stops no run.
"""

from crew_repo.adapter import TaskEvent, TaskFailed, TaskOverridden, TaskReused, TaskStale

__all__ = ["TaskEvent", "TaskFailed", "TaskOverridden", "TaskReused", "TaskStale"]
