"""What is outside of the fetcher: news sources, Redis, metrics, notices."""
