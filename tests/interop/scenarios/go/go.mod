module scenarios

go 1.21

require windlass.dev/worker v0.0.0

replace windlass.dev/worker => ../../../../clients/go
