import { describe, expect, it } from 'vitest';
import { edf } from '../maestro/policies/ordering.js';
import { cellOf, comparePolicies } from './experiment.js';
import { renderReport } from './report-html.js';
import { agentScenario } from './scenario.js';

const { workload, nodes } = agentScenario({ workflows: 40, nodes: 2 });
const some = { workload, nodes, training: workload(1000), loads: [1, 2], seeds: [1, 2] };

describe('comparisons', () => {
  it('run every policy at every load on every seed, and are drawn', async () => {
    const progress: string[] = [];
    const report = await comparePolicies({
      ...some,
      contenders: [
        'fcfs',
        'maestro',
        { name: 'half', policy: 'maestro', instead: () => ({ ordering: edf() }) },
        'oracle',
      ],
      onProgress: ({ done, all, name }) => void progress.push(`${done}/${all} ${name}`),
    });
    expect(report.cells).toHaveLength(8);
    expect(progress).toHaveLength(16);
    expect(progress[1]).toBe('1/16 fcfs at load 1');
    for (const { results, attained } of report.cells) {
      expect(results.map(({ unfinished }) => unfinished)).toEqual([0, 0]);
      expect(attained.mean).toBeGreaterThan(0);
      expect(attained.mean).toBeLessThanOrEqual(1);
    }
    const again = await comparePolicies({ ...some, contenders: ['maestro'] });
    expect(cellOf(again, 'maestro', 2).attained).toEqual(cellOf(report, 'maestro', 2).attained);
    const html = renderReport(report, { script: '/* library */', style: '' }, 'a <b> & "c"');
    expect(html).toContain('<h1>a &#60;b&#62; &#38; &#34;c&#34;</h1>');
    expect(html).toContain('node 1</text>');
    expect(html.match(/<rect /g)!.length).toBeGreaterThan(20);
    const plots = JSON.parse(/const plots = (.*?);\n/.exec(html)![1]!) as { readonly data: unknown[][] }[];
    for (const { data } of plots) for (const row of data) expect(row).toHaveLength(data[0]!.length);
  });

  it('refuse what makes no sense, and stop when they are told to', async () => {
    await expect(comparePolicies({ ...some, contenders: ['best'] })).rejects.toThrow(
      /no policy "best"; there are fcfs/,
    );
    await expect(comparePolicies({ ...some, loads: [0] })).rejects.toThrow(/loads must be numbers above 0/);
    await expect(comparePolicies({ ...some, seeds: [] })).rejects.toThrow(/one seed/);
    await expect(comparePolicies({ ...some, nodes: [] })).rejects.toThrow(/one node/);
    await expect(comparePolicies({ ...some, signal: AbortSignal.abort() })).rejects.toMatchObject({ code: 'ABORTED' });
  });
});
