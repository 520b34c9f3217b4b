"""``coursekit list``: the lessons as a table."""

from rich.console import Console
from rich.table import Table

from coursekit.course.lessons import find_lessons

__all__ = ["show_lessons"]


def show_lessons() -> None:
    """Print one row a lesson."""
    console = Console()
    lessons = find_lessons()
    if not lessons:
        console.print("There are no lessons here.")
        return
    table = Table("", "Lesson", "Minutes", "Data and models")
    for lesson in lessons:
        needs = [*lesson.roles, *(["GPU"] if lesson.gpu else [])]
        table.add_row(lesson.number, lesson.title, f"{lesson.minutes}", ", ".join(needs))
    console.print(table)
    console.print(f"Run one: coursekit run {lessons[0].number}", highlight=False)
    console.print(f"Work in one: coursekit lab {lessons[0].number}", highlight=False)
