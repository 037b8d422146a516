/** Agent frameworks against the server: a graph of LangGraph.js, and the AI SDK with a loop over a tool. */
import { createOpenAICompatible } from '@ai-sdk/openai-compatible';
import { Annotation, END, START, StateGraph } from '@langchain/langgraph';
import { ChatOpenAI, OpenAIEmbeddings } from '@langchain/openai';
import { embed, generateText, Output, stepCountIs, streamText, tool } from 'ai';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { MODEL, storiesServer, until, type StoriesServer } from './fixture.js';

let stories: StoriesServer;
beforeAll(async () => {
  stories = await storiesServer();
});
afterAll(async () => {
  await until(() => stories.model.usage.running === 0);
  expect(stories.model.usage.usedBlocks).toBe(0);
  expect(stories.log.filter(({ status }) => status !== 200)).toEqual([]);
  await stories.close();
});

describe('LangGraph.js', () => {
  const chat = (maxTokens: number): ChatOpenAI =>
    new ChatOpenAI({
      model: MODEL,
      temperature: 0,
      maxTokens,
      maxRetries: 0,
      apiKey: 'none',
      configuration: { baseURL: stories.baseURL },
    });

  it('runs a graph of two models, one of which streams', async () => {
    const state = Annotation.Root({ opening: Annotation<string>, story: Annotation<string>, end: Annotation<string> });
    const pieces: string[] = [];
    const graph = new StateGraph(state)
      .addNode('writer', async ({ opening }) => {
        for await (const chunk of await chat(30).stream(opening)) pieces.push(chunk.text);
        return { story: opening + pieces.join('') };
      })
      .addNode('finisher', async ({ story }) => {
        const answer = await chat(20).invoke([
          ['system', 'You finish stories.'],
          ['user', story],
        ]);
        expect(answer.usage_metadata).toMatchObject({ output_tokens: 20 });
        return { end: answer.text };
      })
      .addEdge(START, 'writer')
      .addEdge('writer', 'finisher')
      .addEdge('finisher', END)
      .compile();
    const result = await graph.invoke({ opening: 'Once upon a time' });
    expect(pieces.length).toBeGreaterThan(10);
    expect(result.story).toMatch(/^Once upon a time\S* .+/);
    expect(result.end.length).toBeGreaterThan(10);
    expect((await graph.invoke({ opening: 'Once upon a time' })).end).toBe(result.end);
  });

  it('has embeddings and answers of a shape', async () => {
    const embeddings = new OpenAIEmbeddings({
      model: MODEL,
      apiKey: 'none',
      configuration: { baseURL: stories.baseURL },
    });
    expect(await embeddings.embedDocuments(['a cat', 'a dog'])).toHaveLength(2);
    const shape = z.object({ sad: z.boolean(), age: z.int() });
    const shaped = chat(100).withStructuredOutput(shape, { method: 'jsonSchema' });
    expect(shape.parse(await shaped.invoke('Once upon a time')).sad).toBeTypeOf('boolean');
  });
});

describe('the AI SDK', () => {
  const provider = () =>
    createOpenAICompatible({
      name: 'tutti',
      baseURL: stories.baseURL,
      includeUsage: true,
      supportsStructuredOutputs: true,
    });

  it('generates, streams and embeds', async () => {
    const asked = { model: provider()(MODEL), prompt: 'Once upon a time', temperature: 0, maxOutputTokens: 30 };
    const { text, usage, finishReason } = await generateText(asked);
    expect(finishReason).toBe('length');
    expect(usage.outputTokens).toBe(30);
    const stream = streamText(asked);
    let streamed = '';
    for await (const piece of stream.textStream) streamed += piece;
    expect(streamed).toBe(text);
    expect((await stream.usage).outputTokens).toBe(30);
    const { embedding } = await embed({ model: provider().textEmbeddingModel(MODEL), value: 'a cat' });
    expect(embedding).toHaveLength(64);
  });

  it('gets objects of a schema', async () => {
    const schema = z.object({ name: z.string().max(10), mood: z.enum(['happy', 'sad']) });
    const { output } = await generateText({
      model: provider()(MODEL),
      prompt: 'Once upon a time',
      seed: 3,
      output: Output.object({ schema }),
    });
    expect(['happy', 'sad']).toContain(output.mood);
  });

  it('loops over a tool', async () => {
    const asked: string[] = [];
    const weather = tool({
      description: 'The weather of a town',
      inputSchema: z.object({ town: z.enum(['Rome', 'Oslo']) }),
      execute: async ({ town }) => {
        asked.push(town);
        return `It is warm in ${town}.`;
      },
    });
    const { steps, text } = await generateText({
      model: provider()(MODEL),
      prompt: 'Once upon a time',
      seed: 1,
      tools: { weather },
      // A model this small calls a tool when it must, and goes on when it may not.
      prepareStep: ({ stepNumber }) => ({ toolChoice: stepNumber < 2 ? 'required' : 'none' }),
      stopWhen: stepCountIs(3),
      maxOutputTokens: 60,
    });
    expect(steps).toHaveLength(3);
    expect(asked).toHaveLength(2);
    expect(steps[0]!.finishReason).toBe('tool-calls');
    expect(text.length).toBeGreaterThan(0);
  });
});
