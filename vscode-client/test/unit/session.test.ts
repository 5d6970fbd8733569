import { strict as assert } from "node:assert";
import type { Status } from "../../src/protocol";
import { type Launch, StartError } from "../../src/server/launch";
import type { Located } from "../../src/server/locate";
import { Recovery } from "../../src/server/recovery";
import { type Connection, Session, type State, type Ways } from "../../src/server/session";
import { status } from "./support";

const LAUNCH: Launch = { command: "server", args: [], origin: "setting", description: "here" };

class Server implements Connection {
  stopped = false;
  mute = false;
  die: (how: string) => void = () => undefined;
  readonly lost = new Promise<string>((resolve) => (this.die = resolve));

  constructor(
    readonly pid: number,
    readonly tell: (status: Status) => void,
  ) {}

  request = <Result>(): Promise<Result> => assert.fail("not asked in these tests");
  execute = async (): Promise<unknown> => undefined;
  status = (): Promise<Status> =>
    this.mute ? new Promise(() => undefined) : Promise.resolve(status("loading", { pid: this.pid }));
  stop = async (): Promise<void> => {
    this.stopped = true;
  };
}

class World {
  readonly servers: Server[] = [];
  readonly states: State[] = [];
  located: Located = { launch: LAUNCH };
  failure: Error | undefined;
  now = 0;
  /** The program that is started says nothing. */
  silent = false;
  /** The server never answers how it is. */
  mute = false;
  readonly session: Session;

  constructor(answerWithinMs = 60_000) {
    this.session = new Session(this.ways(), new Recovery(2, 1_000, () => this.now), answerWithinMs);
    this.session.onDidChange((state) => this.states.push(state));
  }

  private ways(): Ways {
    return {
      locate: async () => this.located,
      connect: async (_, onStatus, giveUp) => {
        if (this.failure) {
          throw this.failure;
        }
        if (this.silent) {
          await new Promise((_resolve, reject) => giveUp.addEventListener("abort", () => reject(new Error("ended"))));
        }
        const server = new Server(this.servers.length + 1, onStatus);
        server.mute = this.mute;
        this.servers.push(server);
        return server;
      },
      log: () => undefined,
    };
  }

  running(): boolean {
    return this.session.state.kind === "running";
  }

  /** Ends the newest server and waits until the session has dealt with it. */
  async kill(): Promise<void> {
    const settled = new Promise<void>((resolve) => {
      const subscription = this.session.onDidChange(({ kind }) => {
        if (kind !== "starting") {
          subscription.dispose();
          resolve();
        }
      });
    });
    this.servers.at(-1)?.die("was ended by SIGKILL");
    await settled;
  }
}

suite("session", () => {
  test("starts, and takes over what the server says of itself", async () => {
    const world = new World();
    await world.session.restart("test");
    world.servers[0]?.tell(status("ready"));
    assert.deepEqual(
      world.states.map((state) => (state.kind === "running" ? state.status.state : state.kind)),
      ["starting", "loading", "ready"],
    );
  });

  test("a restart ends the old server before the new one starts", async () => {
    const world = new World();
    await world.session.restart("first");
    await world.session.restart("second");
    assert.deepEqual(
      world.servers.map(({ stopped }) => stopped),
      [true, false],
    );
    world.servers[0]?.tell(status("ready", { pid: 1 }));
    const { state } = world.session;
    assert.ok(state.kind === "running" && state.status.pid === 2, "an old server's word counted");
  });

  test("restarts asked for at once happen one after the other", async () => {
    const world = new World();
    await Promise.all(["a", "b", "c"].map((reason) => world.session.restart(reason)));
    assert.deepEqual(
      world.servers.map(({ stopped }) => stopped),
      [true, true, false],
    );
  });

  test("a server that dies is started again, until it dies too often", async () => {
    const world = new World();
    await world.session.restart("test");
    await world.kill();
    await world.kill();
    assert.ok(world.running());
    assert.equal(world.servers.length, 3);
    await world.kill();
    const { state } = world.session;
    assert.ok(state.kind === "failed");
    assert.match(state.problem.message, /again and again.*SIGKILL/);
    assert.deepEqual(state.problem.remedies, ["restart", "logs"]);
    assert.equal(world.servers.length, 3);
  });

  test("deaths far apart do not add up, and a person's restart forgives", async () => {
    const world = new World();
    await world.session.restart("test");
    for (let death = 0; death < 5; death += 1) {
      world.now += 2_000;
      await world.kill();
    }
    assert.ok(world.running());
    await world.kill();
    await world.session.restart("asked for");
    await world.kill();
    assert.ok(world.running());
  });

  test("what is not found or does not start is the state, and what a command is told", async () => {
    const world = new World();
    world.located = { problem: { message: "none found", remedies: ["install"] } };
    await world.session.restart("test");
    assert.ok(world.session.state.kind === "failed");
    await assert.rejects(world.session.connected(), /none found/);
    world.located = { launch: LAUNCH };
    world.failure = new Error("spawn EACCES");
    await world.session.restart("test");
    await assert.rejects(
      world.session.connected(),
      (error) => error instanceof StartError && /EACCES/.test(error.message),
    );
    world.failure = undefined;
    await world.session.restart("test");
    assert.equal(await world.session.connected(), world.servers[0]);
  });

  test("a program that says nothing is ended, and what to do is said", async () => {
    const world = new World(50);
    world.silent = true;
    await world.session.restart("test");
    const { state } = world.session;
    assert.ok(state.kind === "failed");
    assert.match(state.problem.message, /did not answer within 0\.05 s.*polyclone\.server\.path/);
    assert.deepEqual(state.problem.remedies, ["restart", "logs", "settings"]);
  });

  test("a server that starts but does not say how it is is stopped", async () => {
    const world = new World(50);
    world.mute = true;
    await world.session.restart("test");
    assert.equal(world.session.state.kind, "failed");
    assert.equal(world.servers[0]?.stopped, true);
  });

  test("another start does not wait for one that hangs, and nobody is told of it", async () => {
    const world = new World();
    world.silent = true;
    const first = world.session.restart("a program that says nothing");
    await new Promise(setImmediate);
    world.silent = false;
    await Promise.all([first, world.session.restart("the setting was corrected")]);
    assert.ok(world.running());
    assert.deepEqual(
      world.states.map(({ kind }) => kind),
      ["starting", "starting", "running"],
    );
  });

  test("a server that is stopped on purpose is not started again", async () => {
    const world = new World();
    await world.session.restart("test");
    await world.session.stop();
    world.servers[0]?.die("ended with exit code 0");
    await Promise.resolve();
    assert.equal(world.session.state.kind, "stopped");
    await assert.rejects(world.session.connected(), /not running/);
  });
});
