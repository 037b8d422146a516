/** Generated from rtl/synth/runs.json by `npm run rtl:synth -- --fit`; do not edit. Without what belongs to memories. */
export const LUT_COEFFICIENTS: Readonly<Record<string, number>> = {
  one: 1132.91,
  ports: 259.09,
  spus: 349.32,
  'spus x lanes x accumulator bits': 3.01,
  'spus x weight bits': 5.49,
  lanes: 108.12,
  'lanes x potential bits': 11.21,
  'lanes x merged bits': 2.83,
  'lanes x classes': 2.51,
};
export const FLIP_FLOP_COEFFICIENTS: Readonly<Record<string, number>> = {
  one: 1117.22,
  ports: 65.69,
  spus: 114.62,
  'spus x addresses': 2.03,
  'spus x accumulator bits': 0.33,
  'spus x lanes x accumulator bits': 2.16,
  'spus x weight bits': 1.3,
  lanes: 305.17,
  'lanes x potential bits': 10.94,
  'lanes x classes': 1.53,
};
