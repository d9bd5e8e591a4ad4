// Places orders and asks what became of them, until all are decided.

const traceUrl = document.body.dataset.traceUrl;
const orders = document.getElementById("orders");
const said = document.getElementById("said");
const form = document.getElementById("order");
const ASK_EVERY = 300;
const AT_MOST = 200;

/** The orders that are not decided yet: id → its row and when it was placed. */
const pending = new Map();

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
  while (orders.rows.length > AT_MOST) orders.lastElementChild.remove();
  pending.set(order.id, { row, placed: performance.now() });
  tell(order);
  if (pending.size === 1) setTimeout(ask, ASK_EVERY);
}

function tell(order) {
  const { row, placed } = pending.get(order.id);
  row.cells[2].textContent = order.status;
  row.cells[2].className = order.status;
  if (order.status === "pending") return;
  row.cells[3].textContent = `${((performance.now() - placed) / 1000).toFixed(1)} s`;
  pending.delete(order.id);
}

/** One request for all that are pending, not one for each. */
async function ask() {
  try {
    const response = await fetch("/orders?limit=1000");
    if (response.ok) (await response.json()).filter((order) => pending.has(order.id)).forEach(tell);
  } catch {
    said.textContent = "The gateway does not answer.";
  }
  if (pending.size > 0) setTimeout(ask, ASK_EVERY);
}
