"""The daily indicator job: nine indicators of every stock of the bar store, once a day.

    from streamdesk.analysis.job.indicators_job import IndicatorsJob
    from streamdesk.analysis.job.task_events import TaskEvents

    job = IndicatorsJob(store, TaskEvents(bus, TASKS), folder / "indicators")
    report = await job.run()

goes on with what an interrupted run of the day has left, or begins a new one.

Nothing is imported here: the processes that compute start faster without the bus.
"""
