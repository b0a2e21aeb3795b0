"""HTTP requests as Lambda receives them, one builder for each sender."""

import base64
import json

KINDS = ("rest_v1", "http_v2", "function_url", "alb", "alb_multi")


def make_event(kind, method="GET", path="/", body=b"", headers=None):
    """Return the event of `kind` that this request arrives as; a dict body is sent as JSON."""
    if isinstance(body, dict | list):
        body = json.dumps(body).encode()
        headers = {"content-type": "application/json", **(headers or {})}
    headers = {"Host": "example.org", "X-Forwarded-Proto": "https", **(headers or {})}
    try:
        text, is_base64 = body.decode(), False
    except UnicodeDecodeError:
        text, is_base64 = base64.b64encode(body).decode(), True
    event = {"headers": headers, "body": text or None, "isBase64Encoded": is_base64}
    if kind in ("http_v2", "function_url"):
        http = {"method": method, "path": path, "sourceIp": "192.0.2.1", "protocol": "HTTP/1.1"}
        domain = "lambda-url" if kind == "function_url" else "execute-api"
        event |= {
            "version": "2.0",
            "routeKey": "$default",
            "rawPath": path,
            "rawQueryString": "",
            "requestContext": {"http": http, "stage": "$default", "domainName": domain},
        }
    elif kind == "rest_v1":
        event |= {
            "resource": "/{proxy+}",
            "httpMethod": method,
            "path": path,
            "multiValueHeaders": {name: [value] for name, value in headers.items()},
            "queryStringParameters": None,
            "multiValueQueryStringParameters": None,
            "requestContext": {"identity": {"sourceIp": "192.0.2.1"}, "stage": "prod"},
        }
    else:
        event |= {
            "httpMethod": method,
            "path": path,
            "queryStringParameters": {},
            "requestContext": {"elb": {"targetGroupArn": "arn:aws:elasticloadbalancing:x"}},
        }
        if kind == "alb_multi":
            event["multiValueHeaders"] = {n: [v] for n, v in event.pop("headers").items()}
            event["multiValueQueryStringParameters"] = event.pop("queryStringParameters")
    return event


def read_reply(reply):
    """Return (status, headers, body bytes) of a reply, whatever its form."""
    headers = {name.lower(): value for name, value in reply.get("headers", {}).items()}
    for name, values in reply.get("multiValueHeaders", {}).items():
        headers[name.lower()] = ", ".join(values)
    body = reply.get("body") or ""
    content = base64.b64decode(body) if reply["isBase64Encoded"] else body.encode()
    return reply["statusCode"], headers, content
