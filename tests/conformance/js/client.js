// One stock client with one subscription, in real time: what happens to it is a line of JSON on stdout, what it shall do a word on stdin.
//
//   node client.js PACKAGE URL TOKEN
//
// It ends with its stdin, and so with whoever started it.

"use strict"

const readline = require("readline")
const WebSocket = require("ws")
const { pretend } = require("./browser")

const [name, url, token] = process.argv.slice(2)

function tell(event, more) {
  console.log(JSON.stringify({ event, at: performance.now() / 1000, ...more }))
}

class ToldWebSocket extends WebSocket {
  constructor(...rest) {
    super(...rest)
    tell("opening")
    this.on("upgrade", answer => tell("upgraded", { subprotocol: answer.headers["sec-websocket-protocol"] }))
  }
}

pretend(ToldWebSocket)
const consumer = require(name).createConsumer(url)
const room = consumer.subscriptions.create({ channel: "RoomChannel", pubsub_token: token }, {
  connected() { tell("connected", { identifier: room.identifier }) },
  disconnected(more) { tell("disconnected", more) },
  rejected() { tell("rejected") },
  received(message) { tell("received", { message }) }
})

readline.createInterface({ input: process.stdin })
  .on("line", word => word === "unsubscribe" ? room.unsubscribe() : room.perform(word))
  .on("close", () => process.exit())
