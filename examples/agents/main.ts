/** `node bench/run.mjs examples/agents/main.ts [URL]`: both programs of this folder against a server, `npx tutti serve --policy maestro` for one. */
import { runConversation } from './untagged.js';
import { runWriters } from './writers.js';

const baseURL = process.argv[2] ?? 'http://127.0.0.1:8080/v1';
const { plan, drafts, critique, story } = await runWriters('Once upon a time', {
  baseURL,
  workflow: `writers-${process.pid}`,
});
console.log(`planner  ${plan}`);
for (const draft of drafts) console.log(`coder    ${draft}`);
console.log(`critic   ${critique}\nwriter   ${story}\n`);
for (const said of await runConversation('Once upon a time', { baseURL })) console.log(`-  ${said}`);
