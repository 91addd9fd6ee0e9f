// BullMQ on Redis: `addBulk`, and two worker processes.
// With PEER_DATABASE_URL set it uses its PostgreSQL backend instead.
//
// Tuned: concurrency 50 in each worker, and finished jobs removed.
// https://docs.bullmq.io/guide/workers/concurrency
// https://docs.bullmq.io/guide/queues/auto-removal-of-jobs
import { createPostgresBackend, Queue, setDefaultBackendFactory, Worker } from "bullmq";
import { chunks, DATABASE_URL, main, ran, REDIS_URL, TUNED } from "./note.mjs";

const onPostgres = !REDIS_URL;
if (onPostgres) setDefaultBackendFactory(createPostgresBackend);
const connection = onPostgres
  ? { connectionString: DATABASE_URL, migrate: process.argv[2] === "prepare" }
  : { url: REDIS_URL };
const options = { connection: { ...connection, maxRetriesPerRequest: null } };

await main({
  async prepare() {
    const queue = new Queue("items", options);
    await queue.waitUntilReady();
    await queue.close();
  },

  async submit() {
    const queue = new Queue("items", options);
    const opts = TUNED ? { removeOnComplete: true } : {};
    for (const chunk of chunks(1000)) {
      await queue.addBulk(chunk.map((number) => ({ name: "one", data: { number }, opts })));
    }
    await queue.close();
  },

  async drain() {
    const worker = new Worker("items", async (job) => ran(job.data.number), {
      ...options,
      ...(TUNED && { concurrency: 50 }),
    });
    worker.on("error", console.error);
  },
});
