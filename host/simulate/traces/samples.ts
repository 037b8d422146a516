/** Calls of a trace as what a predictor learns from: what was known before each call, and what came out. */
import type { LengthSample } from '../../maestro/predict/predictor.js';
import type { Trace, TraceProgram } from './trace.js';

/** The calls of a program in their order; nothing of a call's own answer, nor of later ones, is among its features. */
export function samplesOfProgram(program: TraceProgram, workflow?: string): readonly LengthSample[] {
  const previous = new Map<string, number>();
  const calls = new Map<string, number>();
  /** Of each agent: its last call. */
  const before = new Map<string, { role: string; tokens: number }>();
  const kinds = new Map<string, readonly string[]>();
  return program.calls.map((call, index): LengthSample => {
    const agent = call.agent ?? '';
    const role = call.role ?? 'call';
    const key = `${agent}\n${role}`;
    const parent = before.get(agent) ?? before.get('');
    const sample: LengthSample = {
      features: {
        ...{ role, model: call.model, step: call.stage, promptTokens: call.promptTokens, workflow },
        ...{ sharedTokens: call.sharedTokens, stageIndex: index, callsOfRole: calls.get(key) ?? 0 },
        ...{ previousTokensOfRole: previous.get(key), parents: parent ? [parent] : [] },
        tool: call.bringsToolResult === true ? 'tool' : undefined,
        // Two agents of one session do not answer alike.
        program: agent === '' ? program.id : `${program.id}/${agent}`,
        ...{ gapSeconds: call.gapSeconds, thinking: call.thinking },
        ...{ systemTokens: call.systemTokens, toolTokens: call.toolTokens, streaming: call.streamed },
        previousKinds: kinds.get(agent),
      },
      outputTokens: call.outputTokens,
      outcome: call.callsTool === undefined ? undefined : call.callsTool ? { calledTool: '' } : {},
    };
    previous.set(key, call.outputTokens);
    calls.set(key, sample.features.callsOfRole + 1);
    if (call.answerKinds) kinds.set(agent, call.answerKinds);
    else kinds.delete(agent);
    before.set(agent, { role: call.stage === undefined ? role : `${role} ${call.stage}`, tokens: call.outputTokens });
    return sample;
  });
}

/** Samples of all programs, one program after another. */
export function samplesOfTrace(trace: Trace): readonly (readonly LengthSample[])[] {
  return trace.programs.map((program) => samplesOfProgram(program, trace.name));
}
