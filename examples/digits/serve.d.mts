export interface PageServer {
  readonly url: string;
  close(): Promise<void>;
}
export function buildPage(): Promise<void>;
export function servePage(port: number): Promise<PageServer>;
