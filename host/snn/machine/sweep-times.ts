/** When groups of neurons enter the merge: one a cycle, but none while too many groups with spikes wait for their delivery. */
export interface SweepTimes {
  /** Cycles in which the sweep waited since `begin`. */
  waits: number;
  /** A sweep whose first group may enter in cycle `time`. */
  begin(time: number): void;
  /** The cycle in which `group` enters. Groups are asked for in ascending order; those between had no spikes. */
  enter(group: number): number;
  /** The group that entered last has spikes: they show in the FIFO from cycle `time` on. */
  shows(time: number): void;
  /** Its place in the FIFO is free from cycle `time` on. */
  frees(time: number): void;
}

/** `room`: groups with spikes that may wait while the sweep goes on. */
export function createSweepTimes(groups: number, room: number): SweepTimes {
  const shown = new Float64Array(groups);
  const freed = new Float64Array(groups);
  let shownCount = 0;
  let freedCount = 0;
  // Of those, how many by the cycle `time`, in which `at` enters.
  let visible = 0;
  let gone = 0;
  let at = 0;
  let time = 0;

  const sweep: SweepTimes = {
    waits: 0,
    begin(first) {
      sweep.waits = 0;
      shownCount = freedCount = visible = gone = at = 0;
      time = first;
    },
    enter(group) {
      // No wait before more groups than that have had spikes.
      if (shownCount <= room) {
        time += group - at;
        at = group;
        return time;
      }
      for (;;) {
        for (;;) {
          while (visible < shownCount && shown[visible]! <= time) visible++;
          while (gone < freedCount && freed[gone]! <= time) gone++;
          if (visible - gone <= room) break;
          sweep.waits++;
          time++;
        }
        if (at === group) return time;
        at++;
        time++;
      }
    },
    shows(when) {
      shown[shownCount++] = when;
    },
    frees(when) {
      freed[freedCount++] = when;
    },
  };
  return sweep;
}
