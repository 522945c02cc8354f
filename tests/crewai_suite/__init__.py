"""CrewAI's own tests, run plain and through a StateRepository: whatever passes plain has to pass through it too.

`python -m tests.crewai_suite` fetches the sdist of the installed CrewAI, which holds its tests and recorded answers.
"""
