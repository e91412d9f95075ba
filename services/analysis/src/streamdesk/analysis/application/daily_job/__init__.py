"""The daily indicator job: nine indicators of every stock of the bar store, once a day."""
