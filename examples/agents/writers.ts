/**
 * Four agents in a graph of LangGraph.js: a planner, coders side by side, a critic, a writer. Every call says in `metadata` whose it is, which is all that a scheduler behind
 * OpenAI's interface needs to be told.
 *
 *   npx tutti serve --policy maestro
 *   node bench/run.mjs examples/agents/main.ts http://127.0.0.1:8080/v1
 */
import { Annotation, END, Send, START, StateGraph } from '@langchain/langgraph';
import { ChatOpenAI } from '@langchain/openai';

export interface WritersOptions {
  readonly baseURL: string;
  readonly model?: string;
  /** Names the run: calls of one run belong together. */
  readonly workflow: string;
  /** Seconds from its first call after which nobody wants it any more. */
  readonly deadlineSeconds?: number;
}

export interface Written {
  readonly plan: string;
  readonly drafts: readonly string[];
  readonly critique: string;
  readonly story: string;
}

const PARTS = ['The dog', 'The little girl', 'Her mom'];

export async function runWriters(task: string, options: WritersOptions): Promise<Written> {
  const { baseURL, model = 'stories260k', workflow, deadlineSeconds = 600 } = options;

  const agent = (role: string, maxTokens: number, fanOut: number) => {
    const chat = new ChatOpenAI({
      ...{ model, temperature: 0, maxTokens, apiKey: process.env['OPENAI_API_KEY'] ?? 'none' },
      configuration: { baseURL },
      modelKwargs: {
        metadata: {
          workflow,
          role,
          application: 'writers',
          deadline: String(deadlineSeconds),
          fan_out: String(fanOut),
        },
      },
    });
    return async (text: string): Promise<string> => (await chat.invoke(text)).text;
  };
  const planner = agent('planner', 30, PARTS.length);
  const coder = agent('coder', 40, 1);
  const critic = agent('critic', 20, 1);
  const writer = agent('writer', 50, 0);

  const state = Annotation.Root({
    task: Annotation<string>,
    plan: Annotation<string>,
    part: Annotation<string>,
    drafts: Annotation<string[]>({ reducer: (all, more) => [...all, ...more], default: () => [] }),
    critique: Annotation<string>,
    story: Annotation<string>,
  });
  const graph = new StateGraph(state)
    .addNode('planner', async (given) => ({ plan: await planner(given.task) }))
    .addNode('coder', async (given) => ({ drafts: [await coder(`${given.plan} ${given.part}`)] }))
    .addNode('critic', async (given) => ({ critique: await critic(given.drafts.join(' ').slice(0, 400)) }))
    .addNode('writer', async (given) => ({ story: await writer(`${given.plan} ${given.critique}`) }))
    .addEdge(START, 'planner')
    .addConditionalEdges('planner', (given) => PARTS.map((part) => new Send('coder', { ...given, part })), ['coder'])
    .addEdge('coder', 'critic')
    .addEdge('critic', 'writer')
    .addEdge('writer', END)
    .compile();
  const { plan, drafts, critique, story } = await graph.invoke({ task });
  return { plan, drafts, critique, story };
}
