"""When to ask again: the poll scheduler, its timetable and its policies."""
