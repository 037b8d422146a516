/** `tutti snn rtl`: the hardware as files for somebody's own project. */
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Command } from 'commander';
import type { MachineConfig } from '../../snn/machine/config.js';
import type { Program } from '../../snn/machine/program.js';
import { MACHINE_OPTION, machineText, parseMachine } from './machine-option.js';
import { packageFile } from '../package-file.js';
import { openSource } from './source.js';
import { table } from '../table.js';

interface RtlOptions {
  readonly output: string;
  readonly machine?: string;
  readonly json?: boolean;
}

interface RtlReport {
  readonly machine: MachineConfig;
  readonly files: readonly string[];
  readonly parameters: Readonly<Record<string, number>>;
  readonly program: string | undefined;
  readonly resources: readonly { resource: string; estimate: number; available: number }[];
}

export function register(group: Command): void {
  const command = group
    .command('rtl')
    .description(
      'write the SystemVerilog of a machine, a top with its parameters set, and the words that load a program',
    )
    .argument('[program]', 'a program, for whose machine the RTL is then made')
    .requiredOption('-o, --output <folder>', 'where the files go')
    .option(...MACHINE_OPTION)
    .option('--json', 'print one JSON object instead of a table')
    .action(async (file: string | undefined, options: RtlOptions) => {
      const report = await exportRtl(file, options);
      const text = options.json ? JSON.stringify(report, null, 2) : draw(report, options.output);
      command.configureOutput().writeOut?.(`${text}\n`);
    });
}

async function exportRtl(file: string | undefined, options: RtlOptions): Promise<RtlReport> {
  const { TuttiError } = await import('../../errors.js');
  let program: Program | undefined;
  if (file !== undefined) {
    const source = await openSource(file, { dt: 1e-3, reset: 'value', maxSpikesPerStep: 1 });
    if (source.kind !== 'program')
      throw new TuttiError(
        'OPTION_INVALID',
        `${file} is a network; compile it first: \`tutti snn compile ${file} -o FILE\``,
      );
    if (options.machine !== undefined)
      throw new TuttiError(
        'OPTION_INVALID',
        '--machine and a program exclude each other: a program is for its machine',
      );
    program = source.program;
  }
  const machine = program?.machine ?? parseMachine(options.machine);
  const { machineParameters } = await import('../../fpga/machine-parameters.js');
  const { estimateResources, XC7Z020 } = await import('../../fpga/resources.js');
  const parameters = machineParameters(machine);
  await mkdir(join(options.output, 'generated'), { recursive: true });
  const files: string[] = [];
  const write = async (name: string, content: string | Uint8Array): Promise<void> => {
    await writeFile(join(options.output, name), content);
    files.push(name);
  };
  for (const [name, path] of await designFiles()) await write(name, await readFile(path));
  await write('machine_top.sv', topOf(machine, parameters));
  if (program !== undefined) {
    const { loadWords } = await import('../../snn/machine/load-words.js');
    const range = { first: 0, count: program.placement.length, everyStep: false };
    const words = [...loadWords(program, range)].map((word) => word.toString(16).padStart(8, '0'));
    await write('program.hex', `${words.join('\n')}\n`);
  }
  const estimate = estimateResources(machine);
  return {
    machine,
    files,
    parameters: Object.fromEntries(parameters),
    program: program?.name,
    resources: Object.entries(XC7Z020).map(([resource, available]) => ({
      resource,
      estimate: Math.round(estimate[resource as keyof typeof XC7Z020]),
      available,
    })),
  };
}

async function designFiles(): Promise<[name: string, path: string][]> {
  const [design, headers] = [packageFile('rtl'), packageFile('rtl/generated')];
  const named = async (folder: string, ending: string, prefix: string): Promise<[string, string][]> =>
    (await readdir(folder))
      .filter((name) => name.endsWith(ending))
      .sort()
      .map((name) => [prefix + name, join(folder, name)]);
  return [...(await named(design, '.sv', '')), ...(await named(headers, '.svh', 'generated/'))];
}

/** The top with every parameter set and its ports handed through. */
function topOf(machine: MachineConfig, parameters: readonly (readonly [name: string, value: number])[]): string {
  return `// The synapse machine with ${machine.spus} SPUs at ${machine.ports} ports (${machineText(machine)}).
module machine_top (
    input  logic        clk,
    input  logic        rst_n,
    input  logic [15:0] s_axil_awaddr,
    input  logic        s_axil_awvalid,
    output logic        s_axil_awready,
    input  logic [31:0] s_axil_wdata,
    input  logic [ 3:0] s_axil_wstrb,
    input  logic        s_axil_wvalid,
    output logic        s_axil_wready,
    output logic [ 1:0] s_axil_bresp,
    output logic        s_axil_bvalid,
    input  logic        s_axil_bready,
    input  logic [15:0] s_axil_araddr,
    input  logic        s_axil_arvalid,
    output logic        s_axil_arready,
    output logic [31:0] s_axil_rdata,
    output logic [ 1:0] s_axil_rresp,
    output logic        s_axil_rvalid,
    input  logic        s_axil_rready,
    input  logic [31:0] s_axis_tdata,
    input  logic        s_axis_tvalid,
    output logic        s_axis_tready,
    input  logic        s_axis_tlast,
    output logic [31:0] m_axis_tdata,
    output logic        m_axis_tvalid,
    input  logic        m_axis_tready,
    output logic        m_axis_tlast
);
  tutti_machine #(
${parameters.map(([name, value]) => `      .${name}(${value})`).join(',\n')}
  ) machine (.*);
endmodule
`;
}

function draw(report: RtlReport, folder: string): string {
  return [
    `wrote ${report.files.length} files to ${folder}: machine_top.sv is the top${report.program === undefined ? '' : `, program.hex loads "${report.program}"`}`,
    table(
      ['XC7Z020', 'estimate', 'of', ''],
      report.resources.map(({ resource, estimate, available }) => [
        resource,
        String(estimate),
        String(available),
        `${((100 * estimate) / available).toFixed(0)} %`,
      ]),
    ),
    '(a model fitted to Yosys; `npm run rtl:synth` in the repository synthesises)',
  ].join('\n');
}
