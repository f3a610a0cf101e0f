"""Templates in every form that CloudFormation takes, brought into the one form that the reader of access knows."""
