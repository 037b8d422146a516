/** Generated from rtl/synth/runs.json by `npm run rtl:synth -- --fit`; do not edit. Without what belongs to memories. */
export const LUT_COEFFICIENTS: Readonly<Record<string, number>> = {
  one: 1135.96,
  ports: 267.75,
  spus: 334.43,
  'spus x lanes x accumulator bits': 2.96,
  'spus x weight bits': 7.95,
  lanes: 116.86,
  'lanes x potential bits': 10.86,
  'lanes x merged bits': 2.43,
  'lanes x classes': 2.7,
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
