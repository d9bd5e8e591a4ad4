// Places orders and polls their status until all are decided.

const traceUrl = document.body.dataset.traceUrl;
const orders = document.getElementById("orders");
const said = document.getElementById("said");
const form = document.getElementById("order");
/** Milliseconds between two polls: at first, and at most. The pause grows while no order is decided. */
const FIRST_PAUSE = 300;
const LONGEST_PAUSE = 5000;
/** How many orders one poll asks for, each by its id. */
const ORDERS_PER_POLL = 5;
const MAX_ROWS = 200;

/** The pending orders of this page, the one that was polled longest ago first: id → its row and when it was placed. */
const pending = new Map();
let pause = FIRST_PAUSE;
let timer = null;
let polling = false;

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const count = Number(event.submitter?.value ?? 1);
  const fields = new FormData(form);
  const order = {
    customer_id: fields.get("customer"),
    items: [{ item_id: fields.get("item"), quantity: Number(fields.get("quantity")), price: 1000 }],
  };
  said.textContent = "";
  await Promise.all(Array.from({ length: count }, () => place(order)));
});

async function place(order) {
  try {
    const response = await fetch("/orders", {
      method: "POST",
      // A key of its own: were it sent twice, it would be placed once.
      headers: { "content-type": "application/json", "idempotency-key": crypto.randomUUID() },
      body: JSON.stringify(order),
    });
    const answer = await response.json();
    if (response.status === 201) show(answer);
    else said.textContent = `${response.status}: ${answer.error}`;
  } catch {
    said.textContent = "The gateway does not answer.";
  }
}

function show(order) {
  const row = document.createElement("tr");
  const item = order.items[0];
  for (const text of [order.id, `${item.quantity} × ${item.item_id}`, "", "", ""]) {
    row.append(Object.assign(document.createElement("td"), { textContent: text }));
  }
  if (order.trace_id) {
    const link = document.createElement("a");
    link.href = traceUrl + encodeURIComponent(order.trace_id);
    link.target = "_blank";
    link.rel = "noopener";
    link.textContent = "look at it";
    link.setAttribute("aria-label", `trace of order ${order.id}`);
    row.cells[4].append(link);
  }
  orders.prepend(row);
  while (orders.rows.length > MAX_ROWS) orders.lastElementChild.remove();
  pending.set(order.id, { row, placed: performance.now() });
  showStatus(order);
  pause = FIRST_PAUSE;
  schedulePoll();
}

function showStatus(order) {
  const { row, placed } = pending.get(order.id);
  row.cells[2].textContent = order.status;
  row.cells[2].className = order.status;
  if (order.status === "pending") return;
  row.cells[3].textContent = `${((performance.now() - placed) / 1000).toFixed(1)} s`;
  pending.delete(order.id);
}

function schedulePoll() {
  clearTimeout(timer);
  if (!polling && pending.size > 0) timer = setTimeout(poll, pause);
}

/** Asks for a few pending orders by id. A list would be a far heavier request, and show orders of others. */
async function poll() {
  polling = true;
  const before = pending.size;
  await Promise.all([...pending.keys()].slice(0, ORDERS_PER_POLL).map(pollOrder));
  pause = pending.size < before ? FIRST_PAUSE : Math.min(pause * 2, LONGEST_PAUSE);
  polling = false;
  schedulePoll();
}

async function pollOrder(id) {
  // To the end of the queue: the next poll is the others' turn.
  const entry = pending.get(id);
  pending.delete(id);
  pending.set(id, entry);
  try {
    const response = await fetch(`/orders/${encodeURIComponent(id)}`);
    if (response.ok) showStatus(await response.json());
  } catch {
    said.textContent = "The gateway does not answer.";
  }
}
