/**
 * Two agents that know nothing of schedulers: a storyteller whose conversation goes on and on, and a listener who asks. Without any metadata, calls are put together
 * by what they begin with: each one begins with the one before.
 */
import { HumanMessage, SystemMessage, type BaseMessage } from '@langchain/core/messages';
import { Annotation, END, START, StateGraph } from '@langchain/langgraph';
import { ChatOpenAI } from '@langchain/openai';

export interface ConversationOptions {
  readonly baseURL: string;
  readonly model?: string;
  readonly turns?: number;
}

/** What was said, one after the other. */
export async function runConversation(opening: string, options: ConversationOptions): Promise<readonly string[]> {
  const { baseURL, model = 'stories260k', turns = 3 } = options;
  const chat = new ChatOpenAI({
    ...{ model, temperature: 0, maxTokens: 24, apiKey: process.env['OPENAI_API_KEY'] ?? 'none' },
    configuration: { baseURL },
  });
  const state = Annotation.Root({
    messages: Annotation<BaseMessage[]>({ reducer: (all, more) => [...all, ...more], default: () => [] }),
    turn: Annotation<number>,
  });
  const graph = new StateGraph(state)
    .addNode('storyteller', async ({ messages }) => ({ messages: [await chat.invoke(messages)] }))
    .addNode('listener', ({ turn }) => ({ messages: [new HumanMessage('And then')], turn: turn + 1 }))
    .addEdge(START, 'storyteller')
    .addConditionalEdges('storyteller', ({ turn }) => (turn + 1 < turns ? 'listener' : END), ['listener', END])
    .addEdge('listener', 'storyteller')
    .compile();
  const first = [new SystemMessage('You tell stories to small children.'), new HumanMessage(opening)];
  const { messages } = await graph.invoke({ messages: first, turn: 0 });
  return messages.slice(1).map((message) => message.text);
}
