"""What stands outside of the fetcher: news sources, Redis, metrics, notices."""
