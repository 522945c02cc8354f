"""A project as `crewai create crew` lays it out: agents and tasks in YAML. It knows nothing of crew_repo."""

from __future__ import annotations

from crewai import Agent, Crew, Task
from crewai.project import CrewBase, agent, crew, task
from offline_model import choose_model


@CrewBase
class MinutesCrew:
    """Turns the minutes of a meeting into a follow-up message."""

    agents_config = "config/agents.yaml"
    tasks_config = "config/tasks.yaml"

    @agent
    def secretary(self) -> Agent:
        """Who reads the minutes."""
        return Agent(config=self.agents_config["secretary"], llm=choose_model())

    @agent
    def writer(self) -> Agent:
        """Who writes the message."""
        return Agent(config=self.agents_config["writer"], llm=choose_model())

    @task
    def action_items(self) -> Task:
        """What was promised."""
        return Task(config=self.tasks_config["action_items"])

    @task
    def follow_up(self) -> Task:
        """The message."""
        return Task(config=self.tasks_config["follow_up"])

    @crew
    def crew(self) -> Crew:
        """The whole."""
        return Crew(name="minutes", agents=self.agents, tasks=self.tasks, tracing=False)
