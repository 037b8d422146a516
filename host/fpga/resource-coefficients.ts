/** Generated from rtl/synth/runs.json by `npm run rtl:synth -- --fit`; do not edit. Without what belongs to memories. */
export const LUT_COEFFICIENTS: Readonly<Record<string, number>> = {
  one: 2401.06,
  ports: 272.19,
  spus: 25.68,
  'spus x lanes x accumulator bits': 8.1,
  'spus x weight bits': 2.3,
  lanes: 113.29,
  classes: 1.68,
};
export const FLIP_FLOP_COEFFICIENTS: Readonly<Record<string, number>> = {
  one: 1520.18,
  ports: 73.67,
  'spus x addresses': 2.57,
  'spus x lanes x accumulator bits': 3.75,
  'spus x weight bits': 0.46,
  lanes: 480.15,
};
