"""CloudFormation: in whose name a stack works, which permissions its steps need, what the services refuse it."""
