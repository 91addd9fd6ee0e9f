// graphile-worker on PostgreSQL: `addJobs`, and two worker processes.
//
// Tuned as in https://worker.graphile.org/docs/performance: 24 concurrent jobs, a local queue of 500
// (PEER_BATCH if set), and completions in batches.
// It deletes finished jobs and has no groups: no count, and nothing fires when all are done.
import { makeWorkerUtils, run, runMigrations } from "graphile-worker";
import { BATCH, chunks, DATABASE_URL, main, ran, TUNED } from "./note.mjs";

const preset = {
  worker: {
    connectionString: DATABASE_URL,
    ...(TUNED && {
      concurrentJobs: 24,
      maxPoolSize: 25,
      localQueue: { size: BATCH || 500 },
      completeJobBatchDelay: 0,
      failJobBatchDelay: 0,
    }),
  },
};

await main({
  prepare: () => runMigrations({ preset }),

  async submit() {
    const utils = await makeWorkerUtils({ preset });
    for (const chunk of chunks(1000)) {
      await utils.addJobs(chunk.map((number) => ({ identifier: "one", payload: { number } })));
    }
    await utils.release();
  },

  async drain() {
    const runner = await run({ preset, taskList: { one: ({ number }) => ran(number) } });
    await runner.promise;
  },
});
