// What the stock clients expect of a browser, and no more.

"use strict"

// Must be called before a client is loaded: it takes the socket class from `self` once.
function pretend(WebSocket) {
  globalThis.self = globalThis
  globalThis.WebSocket = WebSocket
  globalThis.addEventListener = () => {}
  globalThis.removeEventListener = () => {}
}

module.exports = { pretend }
