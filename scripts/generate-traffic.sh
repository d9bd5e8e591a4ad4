#!/usr/bin/env bash
# Places random orders at the gateway and prints for each its id, how it ended and the address of its
# trace. Every tenth order names an item that does not exist and is cancelled. Ends with an error
# when an order was refused or stayed pending. Needs curl and bash (3.2 will do) and nothing else.
set -euo pipefail

GATEWAY_URL=${GATEWAY_URL:-http://localhost:8080} # where orders are placed
VIEWER_URL=${VIEWER_URL:-http://localhost:16686}  # where traces are looked at
ORDER_COUNT=${ORDER_COUNT:-10}                    # how many orders
SLEEP_SECONDS=${SLEEP_SECONDS:-1}                 # the pause after each; 0.2 is fine, 0 is none

patience=30 # seconds until an order that is still pending counts as stuck

refuse() {
    echo "$1" >&2
    exit 2
}

check_variables() {
    local url='^https?://[^[:space:]]+$' count='^[1-9][0-9]{0,8}$' seconds='^[0-9]+([.][0-9]+)?$'
    [[ $GATEWAY_URL =~ $url ]] || refuse "GATEWAY_URL must start with http:// or https://, but is '$GATEWAY_URL'."
    [[ $VIEWER_URL =~ $url ]] || refuse "VIEWER_URL must start with http:// or https://, but is '$VIEWER_URL'."
    [[ $ORDER_COUNT =~ $count ]] || refuse "ORDER_COUNT must be a whole number from 1 on, but is '$ORDER_COUNT'."
    [[ $SLEEP_SECONDS =~ $seconds ]] || refuse "SLEEP_SECONDS must be a number of seconds such as 1 or 0.2, but is '$SLEEP_SECONDS'."
    command -v curl >/dev/null || refuse "curl is needed and is not in PATH."
    GATEWAY_URL=${GATEWAY_URL%/}
    VIEWER_URL=${VIEWER_URL%/}
}

# one_item ITEM_ID
one_item() {
    echo "{\"item_id\": \"$1\", \"quantity\": $((RANDOM % 3 + 1)), \"price\": $((RANDOM % 9900 + 100))}"
}

# Sets `order` to the body of the NUMBER-th order: one to three items.
make_order() {
    local item items='' count=$((RANDOM % 3 + 1))
    while ((count-- > 0)); do
        printf -v item 'ITEM-%03d' $((RANDOM % 10 + 1))
        items="$items$(one_item "$item"), "
    done
    if (($1 % 10 == 0)); then
        items="$items$(one_item ITEM-NONE), "
    fi
    order="{\"customer_id\": \"customer-$((RANDOM % 100 + 1))\", \"items\": [${items%, }]}"
}

# Sets `answer` to the whole answer, headers first; a key makes it safe to send an order again.
place_order() {
    answer=$(curl -sS -i --max-time 15 -X POST "$GATEWAY_URL/orders" \
        -H 'Content-Type: application/json' \
        -H "Idempotency-Key: traffic-$$-$RANDOM$RANDOM$RANDOM$RANDOM" \
        -d "$order" 2>&1)
}

# Sets `id` and `trace` from the answer, or `id` to nothing when it is no order.
read_answer() {
    local created='^HTTP/[0-9.]+ 201' order_id='"id": *"([0-9a-f-]{36})"'
    local trace_id='[Tt]raceresponse: *00-([0-9a-f]{32})-'
    id='' trace='no trace'
    if [[ $answer =~ $created && $answer =~ $order_id ]]; then
        id=${BASH_REMATCH[1]}
    fi
    if [[ $answer =~ $trace_id ]]; then
        trace=$VIEWER_URL/trace/${BASH_REMATCH[1]}
    fi
}

# Sets `status` to what has become of the order, `pending` if that is not known in time.
await_status() {
    local answer known='"status": *"([a-z]+)"' until=$((SECONDS + patience))
    status=pending
    while [[ $status == pending ]] && ((SECONDS < until)); do
        answer=$(curl -sS --max-time 5 "$GATEWAY_URL/orders/$id" 2>&1) || true
        if [[ $answer =~ $known ]]; then
            status=${BASH_REMATCH[1]}
        fi
        [[ $status != pending ]] || sleep 0.1
    done
}

# Places the NUMBER-th order and prints its line; fails if it was refused or is stuck.
run_order() {
    make_order "$1"
    place_order || true
    read_answer
    if [[ -z $id ]]; then
        echo "order $1 was not placed: ${answer##*$'\n'}" >&2
        return 1
    fi
    await_status
    printf '%s  %-9s  %s\n' "$id" "$status" "$trace"
    [[ $status != pending ]]
}

check_variables
failed=0
for ((number = 1; number <= ORDER_COUNT; number++)); do
    run_order "$number" || failed=$((failed + 1))
    ((number == ORDER_COUNT)) || sleep "$SLEEP_SECONDS"
done
if ((failed > 0)); then
    echo "$failed of $ORDER_COUNT orders were not placed, or still pending after $patience s." >&2
    exit 1
fi
