"""The desk's processes: started, kept running, ended."""
