/** Typed events: the few lines of an event emitter that Node and browsers do not share. */

export interface Emitter<Events> {
  on<E extends keyof Events>(event: E, listener: (payload: Events[E]) => void): () => void;
  /** A listener that throws disturbs neither the others nor the caller; its error surfaces as an uncaught one. */
  emit<E extends keyof Events>(event: E, payload: Events[E]): void;
}

export function createEmitter<Events>(): Emitter<Events> {
  type Listener = (payload: never) => void;
  const listeners = new Map<keyof Events, Set<Listener>>();
  return {
    on(event, listener) {
      const set = listeners.get(event) ?? new Set<Listener>();
      listeners.set(event, set);
      // Wrapped, so that a listener registered twice is called twice and each registration ends on its own.
      const registered: Listener = (payload) => listener(payload);
      set.add(registered);
      return () => void set.delete(registered);
    },
    emit(event, payload) {
      for (const listener of [...(listeners.get(event) ?? [])]) {
        try {
          listener(payload as never);
        } catch (error) {
          queueMicrotask(() => {
            throw error;
          });
        }
      }
    },
  };
}
