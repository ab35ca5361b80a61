"""When to poll: the scheduler, its timetable and the poll policies."""
