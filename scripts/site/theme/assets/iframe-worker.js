// Search without a server. Browsers start no worker for a page that was opened from a folder, so there
// a script runs in a frame that nobody sees; it is handed and hands back what a worker would.
if (location.protocol === "file:") {
    window.Worker = class extends EventTarget {
        constructor(url) {
            super();
            this.waiting = [];
            const address = new URL(url, document.baseURI).href;
            this.frame = document.createElement("iframe");
            this.frame.hidden = true;
            document.documentElement.append(this.frame);
            const inside = this.frame.contentWindow;
            inside.postMessage = (data) => this.tell("message", data);
            inside.importScripts = async (...names) => {
                for (const name of names) await this.load(name);
            };
            this.load(address).then(
                () => {
                    this.ready = true;
                    for (const data of this.waiting) this.postMessage(data);
                },
                () => this.dispatchEvent(new ErrorEvent("error", { filename: address })),
            );
        }

        load(address) {
            const script = this.frame.contentDocument.createElement("script");
            script.src = address;
            const loaded = new Promise((done, failed) => {
                script.onload = done;
                script.onerror = failed;
            });
            this.frame.contentDocument.body.append(script);
            return loaded;
        }

        postMessage(data) {
            if (!this.ready) this.waiting.push(data);
            else {
                const inside = this.frame.contentWindow;
                inside.dispatchEvent(new inside.MessageEvent("message", { data }));
            }
        }

        tell(name, data) {
            this.dispatchEvent(new MessageEvent(name, { data }));
        }

        terminate() {
            this.frame.remove();
        }
    };
}
