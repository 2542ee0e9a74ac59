// A worker: what it answers to, an agent can be asked for by name.
import { job, run } from "./windlass-worker/index";

job("hello", async (_ctx, input) => ({ hello: (input as { name: string }).name }));

run();
