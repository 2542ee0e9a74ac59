// A worker: what it answers to, an agent can be asked for by name.
package main

import (
	"context"

	"windlass.dev/worker"
)

type In struct {
	Name string `json:"name"`
}

type Out struct {
	Hello string `json:"hello"`
}

func main() {
	worker.Handle("hello", func(_ context.Context, in In) (Out, error) { return Out{Hello: in.Name}, nil })
	worker.Run()
}
