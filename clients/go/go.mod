module windlass.dev/worker

go 1.21
