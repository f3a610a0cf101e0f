"""Encrypts, decrypts or re-encrypts whole prefixes of S3 objects by a Distributed Map of AWS Step Functions."""

import functools
import json
from collections.abc import Mapping
from typing import Final

from aws_cdk import ArnFormat, Duration, Names, Stack, aws_iam, aws_s3
from aws_cdk import aws_stepfunctions as stepfunctions
from constructs import Construct

from kms_patterns.functions.acknowledgements import acknowledge, wildcard
from kms_patterns.functions.data_plane_function import DataPlaneFunction, ExactFunction
from kms_patterns.functions.function_options import FunctionOptions
from kms_patterns.keys.symmetric_keys import EncryptionKey
from kms_patterns.patterns.parts import bulk_definition as asl
from kms_patterns.patterns.parts.bulk_work import BulkWork, Operation, check_prefix
from kms_patterns.patterns.parts.function_pattern import FunctionPattern
from kms_patterns.patterns.parts.object_grants import grant_objects, grant_role_objects
from kms_patterns.policy import actions, prices

_MEMORY: Final = 1769


class BulkEnvelope(FunctionPattern):
    """A state machine that brings every object below a prefix through one function of the data plane, in batches.

    Names of objects come from a listing of the bucket, from an S3 inventory, or from a list; see :meth:`grant_run`.
    Each object is written once for each state of its source: a mark in the destination's metadata names the source's
    ETag and the settings, and destinations are written under conditions (``If-None-Match``, ``If-Match``). A batch that
    is tried again, another execution, or a redrive therefore only does what is missing. The last state writes a report
    as JSON and as a page, with lists of the failed objects that another execution takes.

    ``re_encrypt`` writes a new header and copies the frames: the function sees data keys and no plaintext.

    Args:
        scope: Parent construct.
        construct_id: Id within the parent.
        operation: What happens to each object.
        encryption_key: Symmetric key of the messages; with ``re_encrypt`` of the new ones.
        source: Bucket of the objects that are read.
        destination: Bucket of the objects that are written.
        reports: Bucket of results, lists and reports.
        prefix: What the keys of the objects start with, such as ``inbox/``. Defaults to every object.
        destination_prefix: What the written keys start with instead.
        reports_prefix: Below which results, lists and reports are.
        encryption_context: Pairs that every message is bound to, or must be bound to.
        source_key: With ``re_encrypt``, the key of the old messages.
        source_context: With ``re_encrypt``, pairs that the old messages must be bound to.
        inventory: Bucket that holds S3 inventories of ``source``.
        inventory_prefix: What the keys of these inventories start with.
        objects_per_batch: Objects that one invocation takes, 1 to 1,000; the function's time must suffice for them.
        kms_requests_per_second: The Region's quota for cryptographic operations with symmetric keys.
        function_concurrency: The account's quota for functions that run at a time.
        concurrency: Batches under way at a time, 1 to 10,000. Defaults to what half of the two quotas allows.
        tolerated_failure_percentage: Of objects in failed batches (one fails its batch), 0 to 100; then the run stops.
        state_machine_key: ``EncryptionKey`` of the definition and the history of the executions, which hold names of
            objects. Defaults to a key that AWS owns.
        options: Of the functions. Defaults to 1769 MiB and 15 minutes.

    Raises:
        ValueError: A number is out of range, a key or context does not go with ``operation``, or the run would read
            what it writes.

    See https://docs.aws.amazon.com/step-functions/latest/dg/state-map-distributed.html
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        operation: Operation,
        encryption_key: EncryptionKey,
        source: aws_s3.IBucket,
        destination: aws_s3.IBucket,
        reports: aws_s3.IBucket,
        prefix: str = "",
        destination_prefix: str = "",
        reports_prefix: str = "bulk/",
        encryption_context: Mapping[str, str] | None = None,
        source_key: EncryptionKey | None = None,
        source_context: Mapping[str, str] | None = None,
        inventory: aws_s3.IBucket | None = None,
        inventory_prefix: str = "",
        objects_per_batch: int = 100,
        kms_requests_per_second: int = 10_000,
        function_concurrency: int = 1_000,
        concurrency: int | None = None,
        tolerated_failure_percentage: int = 5,
        state_machine_key: EncryptionKey | None = None,
        options: FunctionOptions | None = None,
    ) -> None:
        super().__init__(
            scope, construct_id, options, handlers="bulk_envelope", memory_size=_MEMORY, timeout=Duration.minutes(15)
        )
        work = BulkWork(
            operation=operation,
            encryption_key=encryption_key,
            encryption_context=encryption_context,
            source=(source, prefix),
            destination=(destination, destination_prefix),
            reports=(reports, reports_prefix),
            source_key=source_key,
            source_context=source_context,
        )
        work.claim_keys(self)
        check_prefix("inventory_prefix", inventory_prefix)
        computed = asl.concurrency_within(kms_requests_per_second, function_concurrency, work.calls)
        self._reports, self._reports_prefix = reports, reports_prefix
        self._batch = self._function("Batch", work.description, work.variables, handler=operation)
        work.grant(self._batch.role)
        self._report = self._report_function()
        self.batch_function: ExactFunction = self._batch.function
        """The function that takes a batch of objects."""
        self.batch_role: aws_iam.Role = self._batch.role
        """The role of the batch function."""
        self.report_role: aws_iam.Role = self._report.role
        """The role of the function that writes the report."""
        self.role = aws_iam.Role(
            self,
            "Role",
            assumed_by=aws_iam.ServicePrincipal("states.amazonaws.com"),
            description="Runs the batches of a bulk run and writes their results",
        )
        self._name = Names.unique_resource_name(self, max_length=80, separator="-")
        self.state_machine_arn = self._arn("stateMachine", self._name)
        self._labels = [asl.OBJECTS, asl.LISTED, *([asl.INVENTORIED, asl.ENCODED] if inventory else [])]
        self._allow_reading(source, prefix, inventory, inventory_prefix)
        self._history_key = state_machine_key
        self._allow_running()
        definition = asl.BulkDefinition(
            partition=Stack.of(self).partition,
            batch_function=self._batch.function.function_arn,
            report_function=self._report.function.function_arn,
            source_bucket=source.bucket_name,
            reports_bucket=reports.bucket_name,
            inventory_bucket=inventory.bucket_name if inventory else None,
            prefix=prefix,
            reports_prefix=reports_prefix,
            objects_per_batch=objects_per_batch,
            concurrency=computed if concurrency is None else concurrency,
            tolerated_failure_percentage=tolerated_failure_percentage,
        )
        machine = stepfunctions.CfnStateMachine(
            self,
            "Resource",
            state_machine_name=self._name,
            role_arn=self.role.role_arn,
            definition_string=Stack.of(self).to_json_string(definition.render()),
            encryption_configuration=asl.under_key(state_machine_key.key_arn) if state_machine_key else None,
        )
        machine.node.add_dependency(self.role)
        acknowledge(machine, _MACHINE_FINDINGS)

    def grant_run(self, grantee: aws_iam.IGrantable) -> aws_iam.Grant:
        """Allow ``grantee`` to start, watch, redrive and stop executions, and to read reports.

        With ``state_machine_key`` Step Functions decrypts with it for ``grantee``, who describes executions:
        https://docs.aws.amazon.com/step-functions/latest/dg/encryption-at-rest.html

        The input of an execution is ``{}`` for a listing, ``{"list": KEY}`` for a CSV file of the reports bucket below
        ``lists/``, with a column ``Key``, ``{"manifest": KEY}`` for a manifest of the inventory bucket, or
        ``{"encodedList": KEY}`` for a list of what failed of such a manifest. A redrive takes the input again.
        """
        grant_objects(self._reports, grantee, actions.DOWNLOAD, [f"{self._reports_prefix}reports/*"])
        granted = [
            aws_iam.Grant.add_to_principal(grantee=grantee, actions=list(actions.STATES_RUN[kind]), resource_arns=[arn])
            for kind, arn in (
                ("machine", self.state_machine_arn),
                ("execution", self._arn("execution", f"{self._name}:*")),
                ("map_run", self._arn("mapRun", f"{self._name}/*")),
            )
        ]
        if self._history_key:
            own, key = asl.for_machines([self.state_machine_arn]), self._history_key
            granted.append(key.grant_operations(grantee, actions.DECRYPT, conditions=own, via_service="states"))
        return functools.reduce(aws_iam.Grant.combine, granted)

    def _report_function(self) -> DataPlaneFunction:
        variables = {
            "REPORTS_BUCKET": self._reports.bucket_name,
            "REPORTS_PREFIX": self._reports_prefix,
            "BATCH_MEMORY_MIB": str(self._options.memory_size or _MEMORY),
            "PRICES": json.dumps(prices.OF_A_BULK_RUN),
        }
        made = self._function("Report", "Writes the report of a bulk run", variables)
        for part, use in (
            ("results", actions.DOWNLOAD),
            ("reports", actions.UPLOAD_IN_PARTS),
            ("lists", actions.UPLOAD_IN_PARTS),
        ):
            grant_role_objects(made.role, self._reports, use, f"{self._reports_prefix}{part}/*")
        return made

    def _allow_reading(
        self, source: aws_s3.IBucket, prefix: str, inventory: aws_s3.IBucket | None, inventory_prefix: str
    ) -> None:
        # The listing reads names alone: https://docs.aws.amazon.com/step-functions/latest/dg/iam-policies-eg-dist-map.html
        self.role.add_to_policy(
            aws_iam.PolicyStatement(
                actions=[actions.S3_LIST_BUCKET],
                resources=[source.bucket_arn],
                conditions={"StringEquals": {"s3:prefix": prefix}} if prefix else {},
            )
        )
        for part, use in (("lists", actions.DOWNLOAD), ("results", actions.RESULTS_WRITTEN)):
            grant_role_objects(self.role, self._reports, use, f"{self._reports_prefix}{part}/*")
        if inventory:
            grant_role_objects(self.role, inventory, actions.DOWNLOAD, f"{inventory_prefix}*")

    def _allow_running(self) -> None:
        for made in (self._batch, self._report):
            made.function.grant_invoke(self.role)
        redriven = [self._arn("execution", f"{self._name}/{label}:*") for label in self._labels]
        described = self._arn("execution", f"{self._name}:*")
        for allowed, arns in (
            (["states:StartExecution"], [self.state_machine_arn]),
            (["states:DescribeExecution", "states:ListMapRuns"], [described]),
            (["states:RedriveExecution"], redriven),
        ):
            self.role.add_to_policy(aws_iam.PolicyStatement(actions=allowed, resources=arns))
        findings = [wildcard(Stack.of(self).resolve(arn)) for arn in (described, *redriven)]
        acknowledge(self.role, {**dict.fromkeys(findings, _EXECUTIONS), **_ROLE_FINDINGS})
        if self._history_key:
            # AWS does not say whether a child's context names the labelled machine. A condition on the service would
            # stop executions: https://docs.aws.amazon.com/step-functions/latest/dg/encryption-at-rest.html
            arns = [self.state_machine_arn, *(f"{self.state_machine_arn}/{label}" for label in self._labels)]
            self._history_key.grant_operations(
                self.role, actions.DECRYPT, actions.GENERATE_DATA_KEY, conditions=asl.for_machines(arns)
            ).assert_success()

    def _arn(self, resource: str, name: str) -> str:
        form = ArnFormat.COLON_RESOURCE_NAME
        return Stack.of(self).format_arn(service="states", resource=resource, resource_name=name, arn_format=form)


_EXECUTIONS: Final = "Executions get their names when they start; the state machine is named."
_ROLE_FINDINGS: Final = {
    "NIST.800.53.R5-IAMNoInlinePolicy": "The policy belongs to this state machine's role alone and goes with it.",
}
_MACHINE_FINDINGS: Final = {
    "AwsSolutions-SF1": "Step Functions keeps the history for 90 days; a log group takes actions on all of them.",
    "AwsSolutions-SF2": "X-Ray needs permissions on every resource; the report has what a run did and took.",
    "Serverless-StepFunctionStateMachineXray": "X-Ray needs permissions on every resource; the report has the times.",
}
