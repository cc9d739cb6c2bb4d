"""The laptop target: the deployed application on one machine, without Docker or an AWS account."""
