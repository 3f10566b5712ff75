// What each file of tests starts with, and clears away.
import { after, before } from 'node:test';
import { Browser } from './browser.js';
import { Gate } from './gate.js';
import { Internet } from './internet.js';

/// A gate that knows Marta and Nils, a GPT, and a browser; `start` starts the gate if it is to be another one.
export function world(start = (internet) => Gate.onHttps(internet)) {
  const world = {};
  const parts = [];
  before(async () => {
    const add = async (part) => {
      parts.unshift(await part);
      return parts[0];
    };
    world.internet = await add(Internet.create());
    world.gate = await add(start(world.internet));
    world.marta = await world.gate.createUser('marta');
    world.nils = await world.gate.createUser('nils');
    world.gpt = await world.gate.connectGpt('Trip planner');
    world.browser = await add(Browser.launch(world.gate, world.internet));
  });
  after(async () => {
    for (const part of parts) await part.stop();
  });
  return world;
}
