// pg-boss on PostgreSQL: `insert` of lists, and two worker processes.
//
// Tuned: batches of 16 and 256 a fetch and no pause between them; with one a fetch and the default
// polling of 2 seconds it would run one job in 2 seconds.
// https://github.com/timgit/pg-boss/blob/master/docs/api/workers.md (batchSize, pollingIntervalSeconds)
import { PgBoss } from "pg-boss";
import { BATCH, chunks, DATABASE_URL, main, ran, TUNED } from "./note.mjs";

const boss = new PgBoss({ connectionString: DATABASE_URL });
boss.on("error", console.error);

await main({
  async prepare() {
    await boss.start();
    await boss.createQueue("one");
    await boss.stop();
  },

  async submit() {
    await boss.start();
    for (const chunk of chunks(1000)) {
      await boss.insert("one", chunk.map((number) => ({ data: { number } })));
    }
    await boss.stop();
  },

  async drain() {
    await boss.start();
    const options = TUNED ? { batchSize: BATCH, pollingIntervalSeconds: 0.5 } : {};
    await boss.work("one", options, async (jobs) => {
      for (const { data } of jobs) ran(data.number);
    });
  },
});
