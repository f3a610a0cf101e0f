"""Entry points of the Lambda functions: parse, call, response. Decisions are made elsewhere."""
