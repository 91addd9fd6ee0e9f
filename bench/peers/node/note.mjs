// For the peers' Node modules: record a call or a callback in the truth file (see truth.py).
import { fstatSync, openSync, writeSync } from "node:fs";

export const ITEMS = Number(process.env.PEER_ITEMS);
export const BATCH = Number(process.env.PEER_BATCH);
export const TUNED = process.env.PEER_TUNED === "1";
export const DATABASE_URL = process.env.PEER_DATABASE_URL;
export const REDIS_URL = process.env.PEER_REDIS_URL;

const items = openSync(`${process.env.PEER_TRUTH}/items`, "a");

export function ran(number) {
  writeSync(items, `${String(number).padStart(7, "0")}\n`);
}

export function calledBack(results = -1) {
  const file = openSync(`${process.env.PEER_TRUTH}/callbacks`, "a");
  writeSync(file, `${fstatSync(items).size / 8} ${results}\n`);
}

export function* chunks(size) {
  for (let start = 0; start < ITEMS; start += size) {
    const length = Math.min(size, ITEMS - start);
    yield Array.from({ length }, (_, index) => start + index);
  }
}

export async function main(verbs) {
  await verbs[process.argv[2]]();
}
