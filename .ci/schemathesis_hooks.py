"""What the order API's document says exactly and a generator of binary floating point cannot."""
import schemathesis


@schemathesis.hook
def map_body(context, body):
    """A price has at most four decimal places. JSON Schema's multiples of 0.0001, which the generator
    multiplies out in binary, come as 0.00030000000000000003: such a neighbour of a price is meant to be
    the price. Whatever is further away is left as it is, and is to be refused."""
    items = body.get("items") if isinstance(body, dict) else None
    for item in items if isinstance(items, list) else []:
        price = item.get("price") if isinstance(item, dict) else None
        if isinstance(price, float) and abs(price) <= 1e12:
            nearest = round(price, 4)
            if abs(price - nearest) <= abs(price) * 1e-15:
                item["price"] = nearest
    return body
