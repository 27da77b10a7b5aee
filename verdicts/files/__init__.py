"""What can be told of one file. All of it runs in a worker process: the files are hostile, and so may be the time."""
