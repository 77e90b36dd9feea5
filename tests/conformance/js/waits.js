// How long a stock client waits before each try to come back, in virtual time: its timers and its Date are a queue that jumps from one
// timer to the next, so that hours take a second. The client itself is untouched.
//
//   node waits.js PACKAGE SEED DROPS TRIES closed|silent
//
// Prints a list for each drop: seconds from the drop (closed) or from six seconds of silence (silent) to the first try, and from each
// try, which fails at once, to the next.

"use strict"

const { pretend } = require("./browser")

const [name, seed, drops, tries, mode] = process.argv.slice(2)
const PING = 3000, STALE = 6000, LIVES = 60000

// Virtual time.

let now = 1e12, serial = 0, state = Number(seed)
const timers = new Map()

globalThis.setTimeout = (fn, ms = 0) => {
  timers.set(++serial, { at: now + Math.max(0, ms), fn })
  return serial
}
globalThis.clearTimeout = id => timers.delete(id)
globalThis.Date = class { getTime() { return now } static now() { return now } }
Math.random = () => {
  state = (Math.imul(state, 1664525) + 1013904223) >>> 0
  return state / 4294967296
}

function runUntil(done) {
  while (!done()) {
    let next = null
    for (const [id, timer] of timers) if (next === null || timer.at < timers.get(next).at) next = id
    const { at, fn } = timers.get(next)
    timers.delete(next)
    now = at
    fn()
  }
}

// A server that lets everybody in while it is up, pings, and drops its one socket at a random moment.

const waits = []
let up = true, since = 0

class Socket {
  static CONNECTING = 0
  static OPEN = 1
  static CLOSING = 2
  static CLOSED = 3

  constructor() {
    this.readyState = Socket.CONNECTING
    this.protocol = "actioncable-v1-json"
    up ? setTimeout(() => this.welcome()) : this.refuse()
  }

  welcome() {
    this.readyState = Socket.OPEN
    this.onopen()
    this.say({ type: "welcome" })
    const first = Math.random() * PING
    this.pinging = setTimeout(() => this.ping(), first)
    setTimeout(() => this.drop(), LIVES * (1 + Math.random()))
  }

  ping() {
    this.pinged = now
    this.say({ type: "ping", message: Math.floor(now / 1000) })
    this.pinging = setTimeout(() => this.ping(), PING)
  }

  drop() {
    up = false
    waits.push([])
    clearTimeout(this.pinging)
    since = mode === "silent" ? this.pinged + STALE : now
    if (mode === "closed") this.end()
  }

  refuse() {
    const those = waits[waits.length - 1]
    those.push((now - since) / 1000)
    since = now
    up = those.length === Number(tries)
    setTimeout(() => this.end())
  }

  say(frame) {
    this.onmessage({ data: JSON.stringify(frame) })
  }

  send(text) {
    const { command, identifier } = JSON.parse(text)
    if (command === "subscribe") setTimeout(() => this.say({ identifier, type: "confirm_subscription" }))
  }

  close() {
    this.readyState = Socket.CLOSING // a peer that is gone does not answer
  }

  end() {
    this.readyState = Socket.CLOSED
    this.onclose({})
  }
}

pretend(Socket)
require(name).createConsumer("ws://nowhere/cable").subscriptions.create("RoomChannel", {})
runUntil(() => waits.length > Number(drops))
console.log(JSON.stringify(waits.slice(0, Number(drops))))
