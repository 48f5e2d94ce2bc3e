/* The search of the theme runs in a worker, which browsers refuse to pages that are opened as files: there a frame of
   the same page does what the worker would. */
if (location.protocol === "file:") {
  window.IFrameWorker = class extends EventTarget {
    constructor(url) {
      super();
      this.onmessage = this.onerror = null;
      this.frame = Object.assign(document.createElement("iframe"), { hidden: true });
      document.body.append(this.frame);
      this.ready = this.start(String(url));
    }

    async start(url) {
      const inner = this.frame.contentWindow;
      inner.postMessage = (data) => this.tell(new MessageEvent("message", { data }));
      inner.importScripts = (...urls) => urls.reduce((done, each) => done.then(() => this.load(each)), Promise.resolve());
      inner.addEventListener("error", (event) => this.tell(new ErrorEvent("error", { message: event.message })));
      await this.load(url);
    }

    load(src) {
      const { contentDocument: inner } = this.frame;
      return new Promise((resolve, reject) => {
        const script = inner.createElement("script");
        Object.assign(script, { src, onload: resolve, onerror: () => reject(new Error(`cannot load ${src}`)) });
        inner.body.append(script);
      });
    }

    tell(event) {
      this.dispatchEvent(event);
      const handler = this[`on${event.type}`];
      if (handler) handler.call(this, event);
    }

    postMessage(data) {
      const inner = this.frame.contentWindow;
      this.ready.then(() => inner.dispatchEvent(new inner.MessageEvent("message", { data })));
    }

    terminate() {
      this.frame.remove();
    }
  };
  window.Worker = window.IFrameWorker;
}
