"""What each service offers: the local and the remote twin have these shapes.

Generated from proto/ by tools/generate.py; do not edit.
"""

from collections.abc import AsyncGenerator
from typing import Protocol

from autovibe.v1 import agent_api_pb2
from autovibe.v1 import approvals_pb2
from autovibe.v1 import audit_pb2
from autovibe.v1 import browsers_pb2
from autovibe.v1 import chat_pb2
from autovibe.v1 import checkpoints_pb2
from autovibe.v1 import documents_pb2
from autovibe.v1 import identity_pb2
from autovibe.v1 import logs_pb2
from autovibe.v1 import machines_pb2
from autovibe.v1 import maintenance_pb2
from autovibe.v1 import metering_pb2
from autovibe.v1 import model_calls_pb2
from autovibe.v1 import projects_pb2
from autovibe.v1 import queue_pb2
from autovibe.v1 import tasks_pb2
from autovibe.v1 import transfer_pb2
from autovibe.v1 import usage_pb2
from autovibe.v1 import work_pb2


class AgentService(Protocol):
    """The machine's own task, its events, its messages and its sub-tasks (decision C8)."""

    async def get_own_task(
        self, request: agent_api_pb2.GetOwnTaskRequest, /
    ) -> agent_api_pb2.OwnTask:
        """Get the machine's own task."""
        ...

    async def send_events(
        self, request: agent_api_pb2.SendEventsRequest, /
    ) -> agent_api_pb2.SendEventsResponse:
        """Tell what happens; it stands in the log of the execution."""
        ...

    async def send_machine_message(
        self, request: agent_api_pb2.SendMachineMessageRequest, /
    ) -> agent_api_pb2.SendMachineMessageResponse:
        """Send a message to the machine of the parent task, or to those of the sub-tasks."""
        ...

    async def take_machine_messages(
        self, request: agent_api_pb2.TakeMachineMessagesRequest, /
    ) -> agent_api_pb2.TakeMachineMessagesResponse:
        """Take the messages that have come for this machine; each is given once."""
        ...

    async def create_subtask(
        self, request: agent_api_pb2.CreateSubtaskRequest, /
    ) -> agent_api_pb2.Subtask:
        """Ask for a part of the own task to be done by another machine."""
        ...

    async def get_subtask(
        self, request: agent_api_pb2.GetSubtaskRequest, /
    ) -> agent_api_pb2.Subtask:
        """Get one sub-task of the own task."""
        ...

    async def list_subtasks(
        self, request: agent_api_pb2.ListSubtasksRequest, /
    ) -> agent_api_pb2.ListSubtasksResponse:
        """List the sub-tasks of the own task, the newest first."""
        ...

    async def relay_agent_call(
        self, request: agent_api_pb2.RelayAgentCallRequest, /
    ) -> agent_api_pb2.RelayAgentCallResponse:
        """Do for a machine what it has asked for on its listener; whoever serves that listener calls."""
        ...


class ApprovalService(Protocol):
    """The one inbox of all agents: questions, and things that they may not do without leave."""

    async def list_approvals(
        self, request: approvals_pb2.ListApprovalsRequest, /
    ) -> approvals_pb2.ListApprovalsResponse:
        """List what waits for a person, or has been answered; what ends first comes first."""
        ...

    async def get_approval(
        self, request: approvals_pb2.GetApprovalRequest, /
    ) -> approvals_pb2.Approval:
        """Get one request with all that is asked."""
        ...

    async def answer_approval(
        self, request: approvals_pb2.AnswerApprovalRequest, /
    ) -> approvals_pb2.AnswerApprovalResponse:
        """Answer a request. A task that was freed meanwhile goes on by itself."""
        ...

    async def cancel_approval(
        self, request: approvals_pb2.CancelApprovalRequest, /
    ) -> approvals_pb2.Approval:
        """Withdraw a request: nobody is to answer it, and what asked is told no."""
        ...

    async def request_apply(
        self, request: approvals_pb2.RequestApplyRequest, /
    ) -> approvals_pb2.Approval:
        """Ask for leave to apply the result of a supervised task; the same result is asked for once."""
        ...

    async def get_permission_policy(
        self, request: approvals_pb2.GetPermissionPolicyRequest, /
    ) -> approvals_pb2.PermissionPolicy:
        """Say what tools may do without asking in supervised tasks of a project."""
        ...

    async def set_permission_policy(
        self, request: approvals_pb2.SetPermissionPolicyRequest, /
    ) -> approvals_pb2.PermissionPolicy:
        """State what tools may do without asking, in place of what was stated before."""
        ...

    async def ask_approval(
        self, request: approvals_pb2.AskApprovalRequest, /
    ) -> approvals_pb2.AskApprovalResponse:
        """Ask for a machine: the rules answer, or a person who answered before, or somebody has to."""
        ...

    async def wait_for_approval(
        self, request: approvals_pb2.WaitForApprovalRequest, /
    ) -> approvals_pb2.WaitForApprovalResponse:
        """Wait until a request is answered, or the time is up."""
        ...

    async def release_approvals(
        self, request: approvals_pb2.ReleaseApprovalsRequest, /
    ) -> approvals_pb2.ReleaseApprovalsResponse:
        """Say that an execution has ended: a task that is over asks no more, one that waits may go on."""
        ...


class AuditService(Protocol):
    """Reads, seals and verifies the audit trail."""

    async def list_audit_records(
        self, request: audit_pb2.ListAuditRecordsRequest, /
    ) -> audit_pb2.ListAuditRecordsResponse:
        """List rows of the audit trail, the newest first."""
        ...

    async def verify_audit(
        self, request: audit_pb2.VerifyAuditRequest, /
    ) -> audit_pb2.VerifyAuditResponse:
        """Compute the chain of seals again, so many at a time, and name the first that does not fit."""
        ...

    async def seal_audit(
        self, request: audit_pb2.SealAuditRequest, /
    ) -> audit_pb2.SealAuditResponse:
        """Put rows that have no seal yet under one, so many at a time."""
        ...


class ChatService(Protocol):
    """Conversations of projects and tasks, their messages, and the files that belong to these."""

    async def create_conversation(
        self, request: chat_pb2.CreateConversationRequest, /
    ) -> chat_pb2.Conversation:
        """Begin a conversation about a project or a task."""
        ...

    async def get_conversation(
        self, request: chat_pb2.GetConversationRequest, /
    ) -> chat_pb2.Conversation:
        """Get one conversation."""
        ...

    async def list_conversations(
        self, request: chat_pb2.ListConversationsRequest, /
    ) -> chat_pb2.ListConversationsResponse:
        """List conversations, the newest first."""
        ...

    async def update_conversation(
        self, request: chat_pb2.UpdateConversationRequest, /
    ) -> chat_pb2.Conversation:
        """Rename a conversation, archive it or bring it back; what is not given stays."""
        ...

    async def send_message(
        self, request: chat_pb2.SendMessageRequest, /
    ) -> chat_pb2.ChatMessage:
        """Say something in a conversation. What a person says in one of a task, its agent gets: at once if it works and takes messages, else when it goes on."""
        ...

    async def get_message(
        self, request: chat_pb2.GetMessageRequest, /
    ) -> chat_pb2.ChatMessage:
        """Get one message."""
        ...

    async def list_messages(
        self, request: chat_pb2.ListMessagesRequest, /
    ) -> chat_pb2.ListMessagesResponse:
        """List the messages of a conversation, the oldest first."""
        ...

    async def edit_message(
        self, request: chat_pb2.EditMessageRequest, /
    ) -> chat_pb2.ChatMessage:
        """Say a message of one's own in other words; what it said before stays with it."""
        ...

    async def search_messages(
        self, request: chat_pb2.SearchMessagesRequest, /
    ) -> chat_pb2.SearchMessagesResponse:
        """Find the messages that hold every one of some words, the newest first."""
        ...

    async def attach_file(
        self, request: chat_pb2.AttachFileRequest, /
    ) -> chat_pb2.ChatAttachment:
        """Attach a file to a message of one's own."""
        ...

    async def get_attachment(
        self, request: chat_pb2.GetAttachmentRequest, /
    ) -> chat_pb2.ChatAttachment:
        """Get what is known of an attachment."""
        ...

    async def read_attachment(
        self, request: chat_pb2.ReadAttachmentRequest, /
    ) -> chat_pb2.AttachmentContent:
        """Read an attachment, checked against its checksum. REST gives the bytes themselves, as a file to be saved, unless the client accepts only JSON."""
        ...

    async def wait_for_mail(
        self, request: chat_pb2.WaitForMailRequest, /
    ) -> chat_pb2.WaitForMailResponse:
        """Wait until there is something in the mailbox of a machine, for a short time."""
        ...

    async def take_mail(
        self, request: chat_pb2.TakeMailRequest, /
    ) -> chat_pb2.TakeMailResponse:
        """Take what is in the mailbox of a machine, also what its task's earlier machines left unread."""
        ...

    async def report_mail(
        self, request: chat_pb2.ReportMailRequest, /
    ) -> chat_pb2.ReportMailResponse:
        """Record what became of mail that was taken."""
        ...

    async def post_agent_message(
        self, request: chat_pb2.PostAgentMessageRequest, /
    ) -> chat_pb2.ChatMessage:
        """Record what an agent says or asks in the conversation of its task."""
        ...


class MachineService(Protocol):
    """Machines of all projects."""

    async def get_machine(
        self, request: machines_pb2.GetMachineRequest, /
    ) -> machines_pb2.Machine:
        """Get one machine."""
        ...

    async def list_machines(
        self, request: machines_pb2.ListMachinesRequest, /
    ) -> machines_pb2.ListMachinesResponse:
        """List machines, the newest first."""
        ...

    async def create_machine(
        self, request: machines_pb2.CreateMachineRequest, /
    ) -> machines_pb2.Machine:
        """Record a machine that is about to be started."""
        ...

    async def update_machine(
        self, request: machines_pb2.UpdateMachineRequest, /
    ) -> machines_pb2.Machine:
        """Move a machine to another status and record what is known of it."""
        ...

    async def record_connections(
        self, request: machines_pb2.RecordConnectionsRequest, /
    ) -> machines_pb2.RecordConnectionsResponse:
        """Write the connections into the network that a machine asked for to the audit trail."""
        ...


class CheckpointService(Protocol):
    """Checkpoints of all projects."""

    async def import_directory(
        self, request: checkpoints_pb2.ImportDirectoryRequest, /
    ) -> checkpoints_pb2.ImportDirectoryResponse:
        """Import a directory as it is now; an unchanged tree re-uses its checkpoint."""
        ...

    async def scan_secrets(
        self, request: checkpoints_pb2.ScanSecretsRequest, /
    ) -> checkpoints_pb2.ScanSecretsResponse:
        """Find ignored and untracked files of a directory that look like secrets."""
        ...

    async def get_checkpoint(
        self, request: checkpoints_pb2.GetCheckpointRequest, /
    ) -> checkpoints_pb2.Checkpoint:
        """Get one checkpoint."""
        ...

    async def list_checkpoints(
        self, request: checkpoints_pb2.ListCheckpointsRequest, /
    ) -> checkpoints_pb2.ListCheckpointsResponse:
        """List checkpoints, the newest first."""
        ...

    async def purge_machine(
        self, request: machines_pb2.PurgeMachineRequest, /
    ) -> machines_pb2.PurgeMachineResponse:
        """Delete a machine that has ended, with every checkpoint that it has made; nothing is deleted when one of them is needed. This cannot be undone."""
        ...

    async def get_checkpoint_tree(
        self, request: checkpoints_pb2.GetCheckpointTreeRequest, /
    ) -> checkpoints_pb2.CheckpointTree:
        """Show how the checkpoints of a project descend from each other."""
        ...

    async def get_checkpoint_path(
        self, request: checkpoints_pb2.GetCheckpointPathRequest, /
    ) -> checkpoints_pb2.CheckpointPath:
        """Show the way from one checkpoint to another: up to where they part, then down."""
        ...

    async def list_running_machines(
        self, request: checkpoints_pb2.ListRunningMachinesRequest, /
    ) -> checkpoints_pb2.ListRunningMachinesResponse:
        """Show the machines that run, with their newest checkpoints."""
        ...

    async def list_checkpoint_files(
        self, request: checkpoints_pb2.ListCheckpointFilesRequest, /
    ) -> checkpoints_pb2.ListCheckpointFilesResponse:
        """List the files of a checkpoint."""
        ...

    async def diff_checkpoints(
        self, request: checkpoints_pb2.DiffCheckpointsRequest, /
    ) -> checkpoints_pb2.DiffCheckpointsResponse:
        """Compare two checkpoints."""
        ...

    async def verify_checkpoint(
        self, request: checkpoints_pb2.VerifyCheckpointRequest, /
    ) -> checkpoints_pb2.VerifyCheckpointResponse:
        """Read every object of a checkpoint back and hash it again."""
        ...

    async def restore_checkpoint(
        self, request: checkpoints_pb2.RestoreCheckpointRequest, /
    ) -> checkpoints_pb2.RestoreCheckpointResponse:
        """Write a checkpoint's files into an empty directory on the server's host."""
        ...

    async def record_checkpoint(
        self, request: checkpoints_pb2.RecordCheckpointRequest, /
    ) -> checkpoints_pb2.Checkpoint:
        """Insert the row of a snapshot that is durable in the store."""
        ...


class DocumentService(Protocol):
    """Documents that agents read; those of a project are given to its machines as files."""

    async def create_document(
        self, request: documents_pb2.CreateDocumentRequest, /
    ) -> documents_pb2.ContextDocument:
        """Write a document."""
        ...

    async def get_document(
        self, request: documents_pb2.GetDocumentRequest, /
    ) -> documents_pb2.ContextDocument:
        """Get one document, as it is now or as it was in an earlier version."""
        ...

    async def list_documents(
        self, request: documents_pb2.ListDocumentsRequest, /
    ) -> documents_pb2.ListDocumentsResponse:
        """List documents by title, without their content."""
        ...

    async def update_document(
        self, request: documents_pb2.UpdateDocumentRequest, /
    ) -> documents_pb2.ContextDocument:
        """Change a document; what is not given stays. A change of title, content or tags makes a version."""
        ...

    async def delete_document(
        self, request: documents_pb2.DeleteDocumentRequest, /
    ) -> documents_pb2.DeleteDocumentResponse:
        """Delete a document; machines that run keep what they were given."""
        ...

    async def list_document_versions(
        self, request: documents_pb2.ListDocumentVersionsRequest, /
    ) -> documents_pb2.ListDocumentVersionsResponse:
        """List the versions of a document, the newest first, without their content."""
        ...

    async def diff_document(
        self, request: documents_pb2.DiffDocumentRequest, /
    ) -> documents_pb2.DocumentDiff:
        """Compare two versions of a document."""
        ...

    async def rollback_document(
        self, request: documents_pb2.RollbackDocumentRequest, /
    ) -> documents_pb2.ContextDocument:
        """Bring title, content and tags of an earlier version back, as a new version."""
        ...

    async def attach_document(
        self, request: documents_pb2.AttachDocumentRequest, /
    ) -> documents_pb2.ContextDocument:
        """Attach a document to a project, whose machines get it from their next start on."""
        ...

    async def detach_document(
        self, request: documents_pb2.DetachDocumentRequest, /
    ) -> documents_pb2.ContextDocument:
        """Take a document from its project; only who wrote it and admins see it from then on."""
        ...

    async def get_machine_documents(
        self, request: documents_pb2.GetMachineDocumentsRequest, /
    ) -> documents_pb2.MachineDocuments:
        """Give the documents that a machine of a project is to have, with their content."""
        ...


class IdentityService(Protocol):
    """People, tokens and instances."""

    async def register_instance(
        self, request: identity_pb2.RegisterInstanceRequest, /
    ) -> identity_pb2.Instance:
        """Record that a control-plane process has started."""
        ...

    async def heartbeat_instance(
        self, request: identity_pb2.HeartbeatInstanceRequest, /
    ) -> identity_pb2.Instance:
        """Record that an instance lives."""
        ...

    async def remove_instance(
        self, request: identity_pb2.RemoveInstanceRequest, /
    ) -> identity_pb2.RemoveInstanceResponse:
        """Forget an instance that has ended in order."""
        ...

    async def list_instances(
        self, request: identity_pb2.ListInstancesRequest, /
    ) -> identity_pb2.ListInstancesResponse:
        """List instances, the oldest first."""
        ...

    async def issue_token(
        self, request: identity_pb2.IssueTokenRequest, /
    ) -> identity_pb2.IssueTokenResponse:
        """Make a token for a process of this home; the secret is in this answer only."""
        ...

    async def note_token_use(
        self, request: identity_pb2.NoteTokenUseRequest, /
    ) -> identity_pb2.NoteTokenUseResponse:
        """Record that a token was used just now."""
        ...

    async def authenticate_token(
        self, request: identity_pb2.AuthenticateTokenRequest, /
    ) -> identity_pb2.AuthenticateTokenResponse:
        """Find who a token belongs to."""
        ...

    async def login(
        self, request: identity_pb2.LoginRequest, /
    ) -> identity_pb2.LoginResponse:
        """Open a session with a name and a password; the secret of its token is in this answer only."""
        ...

    async def logout(
        self, request: identity_pb2.LogoutRequest, /
    ) -> identity_pb2.LogoutResponse:
        """End the session whose token this call has."""
        ...

    async def create_browser_link(
        self, request: browsers_pb2.CreateBrowserLinkRequest, /
    ) -> browsers_pb2.BrowserLink:
        """Make a link that opens the server in a browser as the caller; it works once, for a minute."""
        ...

    async def open_browser_session(
        self, request: browsers_pb2.OpenBrowserSessionRequest, /
    ) -> browsers_pb2.BrowserSession:
        """Open the session of a browser that came with a link."""
        ...

    async def who_am_i(
        self, request: identity_pb2.WhoAmIRequest, /
    ) -> identity_pb2.WhoAmIResponse:
        """Tell who calls, and what they may do."""
        ...

    async def change_password(
        self, request: identity_pb2.ChangePasswordRequest, /
    ) -> identity_pb2.ChangePasswordResponse:
        """Change one's own password; every session ends, this one too."""
        ...

    async def request_email_verification(
        self, request: identity_pb2.RequestEmailVerificationRequest, /
    ) -> identity_pb2.RequestEmailVerificationResponse:
        """Send the token that proves one's own e-mail address; without a mail server it is in the log."""
        ...

    async def verify_email(
        self, request: identity_pb2.VerifyEmailRequest, /
    ) -> identity_pb2.User:
        """Mark the e-mail address as verified that a token was sent to."""
        ...

    async def create_user(
        self, request: identity_pb2.CreateUserRequest, /
    ) -> identity_pb2.User:
        """Create a user, or a service account, which has no password."""
        ...

    async def get_user(
        self, request: identity_pb2.GetUserRequest, /
    ) -> identity_pb2.User:
        """Get one user by id or name; who is no admin finds themselves only."""
        ...

    async def list_users(
        self, request: identity_pb2.ListUsersRequest, /
    ) -> identity_pb2.ListUsersResponse:
        """List users by name."""
        ...

    async def update_user(
        self, request: identity_pb2.UpdateUserRequest, /
    ) -> identity_pb2.User:
        """Change a user; what is not given stays. Whoever is disabled can do nothing from then on."""
        ...

    async def delete_user(
        self, request: identity_pb2.DeleteUserRequest, /
    ) -> identity_pb2.DeleteUserResponse:
        """Delete a user: the name stays taken, sessions and tokens end, and what they made remains."""
        ...

    async def set_password(
        self, request: identity_pb2.SetPasswordRequest, /
    ) -> identity_pb2.SetPasswordResponse:
        """Set another user's password; their sessions end."""
        ...

    async def create_token(
        self, request: identity_pb2.CreateTokenRequest, /
    ) -> identity_pb2.CreateTokenResponse:
        """Make a token; the secret is in this answer only."""
        ...

    async def list_tokens(
        self, request: identity_pb2.ListTokensRequest, /
    ) -> identity_pb2.ListTokensResponse:
        """List tokens, the newest first: one's own, or for an admin all."""
        ...

    async def revoke_token(
        self, request: identity_pb2.RevokeTokenRequest, /
    ) -> identity_pb2.RevokeTokenResponse:
        """Revoke a token; it ends at once."""
        ...


class WorkService(Protocol):
    """Tasks and how they are done."""

    async def check_task_context(
        self, request: work_pb2.CheckTaskContextRequest, /
    ) -> work_pb2.TaskContext:
        """Say how a task would be run, or why it cannot be; nothing is kept."""
        ...

    async def create_task(
        self, request: work_pb2.CreateTaskRequest, /
    ) -> work_pb2.Task:
        """Create a task, and queue it when start is set."""
        ...

    async def create_tasks(
        self, request: tasks_pb2.CreateTasksRequest, /
    ) -> tasks_pb2.CreateTasksResponse:
        """Create many tasks with what they wait for, all or none."""
        ...

    async def add_task_dependency(
        self, request: tasks_pb2.AddTaskDependencyRequest, /
    ) -> tasks_pb2.TaskDependency:
        """Let a task wait for another, or say that they have to do with each other."""
        ...

    async def remove_task_dependency(
        self, request: tasks_pb2.RemoveTaskDependencyRequest, /
    ) -> work_pb2.Task:
        """Let a task wait for another no longer; if it waits for nothing more, it is queued."""
        ...

    async def list_task_dependencies(
        self, request: tasks_pb2.ListTaskDependenciesRequest, /
    ) -> tasks_pb2.ListTaskDependenciesResponse:
        """List what a task has to do with others."""
        ...

    async def get_task_graph(
        self, request: tasks_pb2.GetTaskGraphRequest, /
    ) -> tasks_pb2.TaskGraph:
        """Show how the tasks of a project, or those around one task, hang together."""
        ...

    async def get_task(
        self, request: work_pb2.GetTaskRequest, /
    ) -> work_pb2.Task:
        """Get one task."""
        ...

    async def list_tasks(
        self, request: work_pb2.ListTasksRequest, /
    ) -> work_pb2.ListTasksResponse:
        """List tasks, the newest first."""
        ...

    async def get_task_result(
        self, request: work_pb2.GetTaskResultRequest, /
    ) -> work_pb2.TaskResult:
        """Sum up what a task came to."""
        ...

    async def pause_task(
        self, request: work_pb2.PauseTaskRequest, /
    ) -> work_pb2.Task:
        """Stop a task that runs: checkpoint it and leave it resumable."""
        ...

    async def resume_task(
        self, request: work_pb2.ResumeTaskRequest, /
    ) -> work_pb2.Task:
        """Queue a task that waits or has failed again, from its newest consistent checkpoint."""
        ...

    async def retry_task(
        self, request: work_pb2.RetryTaskRequest, /
    ) -> work_pb2.Task:
        """Queue a failed or cancelled-before-start task again, from its base."""
        ...

    async def cancel_task(
        self, request: work_pb2.CancelTaskRequest, /
    ) -> work_pb2.Task:
        """Stop a task for good; its checkpoints stay."""
        ...

    async def update_task(
        self, request: tasks_pb2.UpdateTaskRequest, /
    ) -> work_pb2.Task:
        """Change what a task is; what is not given stays. What its agent is told and how it is asked can be changed only while nothing works on it."""
        ...

    async def delete_task(
        self, request: tasks_pb2.DeleteTaskRequest, /
    ) -> work_pb2.Task:
        """Let a finished task be shown nowhere any more. What it has cost, done and logged stays."""
        ...

    async def fork_checkpoint(
        self, request: work_pb2.ForkCheckpointRequest, /
    ) -> work_pb2.Task:
        """Create a task that goes on from any checkpoint, with its files and its conversation."""
        ...

    async def apply_task(
        self, request: work_pb2.ApplyTaskRequest, /
    ) -> work_pb2.ApplyTaskResponse:
        """Put the result of a task on a new branch of its repository."""
        ...

    async def get_task_patch(
        self, request: work_pb2.GetTaskPatchRequest, /
    ) -> work_pb2.GetTaskPatchResponse:
        """Give the result of a task as a patch that git can apply, byte for byte."""
        ...

    async def list_task_logs(
        self, request: work_pb2.ListTaskLogsRequest, /
    ) -> work_pb2.ListTaskLogsResponse:
        """List what was logged for a task, in order."""
        ...

    async def claim_work_order(
        self, request: work_pb2.ClaimWorkOrderRequest, /
    ) -> work_pb2.ClaimWorkOrderResponse:
        """Claim the next order that a worker may do."""
        ...

    async def heartbeat_work_order(
        self, request: work_pb2.HeartbeatWorkOrderRequest, /
    ) -> work_pb2.HeartbeatWorkOrderResponse:
        """Prolong a lease."""
        ...

    async def attach_machine(
        self, request: work_pb2.AttachMachineRequest, /
    ) -> work_pb2.Execution:
        """Record which machine does an execution."""
        ...

    async def get_earlier_attempts(
        self, request: work_pb2.GetEarlierAttemptsRequest, /
    ) -> work_pb2.EarlierAttempts:
        """Tell what earlier attempts at the task of an execution came to."""
        ...

    async def finish_execution(
        self, request: work_pb2.FinishExecutionRequest, /
    ) -> work_pb2.Task:
        """Record how an execution ended, and move order, assignment, task and worker with it."""
        ...

    async def abandon_executions(
        self, request: work_pb2.AbandonExecutionsRequest, /
    ) -> work_pb2.AbandonExecutionsResponse:
        """End running executions whose control plane is dead or lost its lease; their tasks wait, resumable."""
        ...

    async def append_execution_logs(
        self, request: work_pb2.AppendExecutionLogsRequest, /
    ) -> work_pb2.AppendExecutionLogsResponse:
        """Append log lines; the caller gives their numbers."""
        ...

    async def keep_model_call(
        self, request: model_calls_pb2.KeepModelCallRequest, /
    ) -> model_calls_pb2.KeepModelCallResponse:
        """Keep what was asked of a model and what it answered."""
        ...

    async def get_model_call(
        self, request: model_calls_pb2.GetModelCallRequest, /
    ) -> model_calls_pb2.ModelCall:
        """Get what was asked of a model and what it answered, by the id that its answer had."""
        ...


class LogService(Protocol):
    """Attempts at tasks, what they log, and which tools they use."""

    def stream_task_logs(
        self, request: logs_pb2.StreamTaskLogsRequest, /
    ) -> AsyncGenerator[work_pb2.ListTaskLogsResponse]:
        """Give the lines of a task's log as they come, until the task has ended. An answer without lines says that there are none for now. The cursor of the last one, or the header Last-Event-ID, goes on behind it."""
        ...

    def stream_execution_logs(
        self, request: logs_pb2.StreamExecutionLogsRequest, /
    ) -> AsyncGenerator[logs_pb2.ListExecutionLogsResponse]:
        """Give the lines of one execution's log as they come, until it has ended."""
        ...

    async def list_execution_logs(
        self, request: logs_pb2.ListExecutionLogsRequest, /
    ) -> logs_pb2.ListExecutionLogsResponse:
        """List the lines of one execution's log, in order."""
        ...

    async def list_executions(
        self, request: logs_pb2.ListExecutionsRequest, /
    ) -> logs_pb2.ListExecutionsResponse:
        """List executions, the newest first."""
        ...

    async def get_execution(
        self, request: logs_pb2.GetExecutionRequest, /
    ) -> logs_pb2.ExecutionDetails:
        """Get one execution with the runs of its agents and what its records disagree on."""
        ...

    async def list_tool_calls(
        self, request: logs_pb2.ListToolCallsRequest, /
    ) -> logs_pb2.ListToolCallsResponse:
        """List the tool calls of an execution as agent and gateway told them, the oldest first."""
        ...

    async def record_agent_work(
        self, request: logs_pb2.RecordAgentWorkRequest, /
    ) -> logs_pb2.RecordAgentWorkResponse:
        """Record what the runs of an agent and its tool calls came to, as far as it is known."""
        ...


class MaintenanceService(Protocol):
    """Jobs of one database. One runner at a time has a job, whichever process it is in."""

    async def get_jobs(
        self, request: maintenance_pb2.GetJobsRequest, /
    ) -> maintenance_pb2.GetJobsResponse:
        """Get all jobs, with what is known of their last runs; there are few."""
        ...

    async def begin_job(
        self, request: maintenance_pb2.BeginJobRequest, /
    ) -> maintenance_pb2.BeginJobResponse:
        """Begin a run of a job, unless somebody else runs it now."""
        ...

    async def step_job(
        self, request: maintenance_pb2.StepJobRequest, /
    ) -> maintenance_pb2.StepJobResponse:
        """Do the next slice of a run."""
        ...

    async def end_job(
        self, request: maintenance_pb2.EndJobRequest, /
    ) -> maintenance_pb2.EndJobResponse:
        """Record how a run ended."""
        ...

    async def register_jobs(
        self, request: maintenance_pb2.RegisterJobsRequest, /
    ) -> maintenance_pb2.RegisterJobsResponse:
        """Let the database's own scheduler run what it can, if it has one."""
        ...

    async def read_archivable(
        self, request: maintenance_pb2.ReadArchivableRequest, /
    ) -> maintenance_pb2.ReadArchivableResponse:
        """Read the next rows that are old enough for an archive."""
        ...

    async def delete_archived(
        self, request: maintenance_pb2.DeleteArchivedRequest, /
    ) -> maintenance_pb2.DeleteArchivedResponse:
        """Delete rows that an archive holds, and record it with its run."""
        ...

    async def insert_archived(
        self, request: maintenance_pb2.InsertArchivedRequest, /
    ) -> maintenance_pb2.InsertArchivedResponse:
        """Put rows of an archive back; those that are there are left alone."""
        ...

    async def reconcile_references(
        self, request: maintenance_pb2.ReconcileReferencesRequest, /
    ) -> maintenance_pb2.ReconcileReferencesResponse:
        """Make the store's references agree with the checkpoints: drop those of thinned ones and those that have had no checkpoint for the grace time, put back those that are missing."""
        ...

    async def prune_store(
        self, request: maintenance_pb2.PruneStoreRequest, /
    ) -> maintenance_pb2.PruneStoreResponse:
        """Give back the space of what no reference has needed for the grace time."""
        ...

    async def audit_store(
        self, request: maintenance_pb2.AuditStoreRequest, /
    ) -> maintenance_pb2.AuditStoreResponse:
        """Read everything in the store and hash it again; damaged checkpoints are marked."""
        ...

    async def claim_verification(
        self, request: maintenance_pb2.ClaimVerificationRequest, /
    ) -> maintenance_pb2.ClaimVerificationResponse:
        """Claim the next checkpoint that nobody has verified yet."""
        ...

    async def finish_verification(
        self, request: maintenance_pb2.FinishVerificationRequest, /
    ) -> maintenance_pb2.FinishVerificationResponse:
        """Record that a claimed checkpoint is done with, or could not be verified."""
        ...


class MeteringService(Protocol):
    """The ledger. Amounts are plain decimals with at most 6 places; money is in CAD."""

    async def set_budget(
        self, request: metering_pb2.SetBudgetRequest, /
    ) -> metering_pb2.Budget:
        """Set what a project, or one task, may use of a resource in a period."""
        ...

    async def raise_budget(
        self, request: metering_pb2.RaiseBudgetRequest, /
    ) -> metering_pb2.Budget:
        """Add to what a project, or one task, may use of a resource in a period."""
        ...

    async def list_budgets(
        self, request: metering_pb2.ListBudgetsRequest, /
    ) -> metering_pb2.ListBudgetsResponse:
        """List the budgets of the current periods."""
        ...

    async def get_usage(
        self, request: metering_pb2.GetUsageRequest, /
    ) -> metering_pb2.UsageReport:
        """Sum up what was used."""
        ...

    async def list_daily_usage(
        self, request: metering_pb2.ListDailyUsageRequest, /
    ) -> metering_pb2.ListDailyUsageResponse:
        """Sum up what was used, per day."""
        ...

    async def audit_usage(
        self, request: usage_pb2.AuditUsageRequest, /
    ) -> usage_pb2.AuditUsageResponse:
        """Compare what budgets, days and calls say was used with the rows of usage, one project after the other. There should be no difference."""
        ...

    async def rebuild_usage(
        self, request: usage_pb2.RebuildUsageRequest, /
    ) -> usage_pb2.RebuildUsageResponse:
        """Put back the rows of settled calls that are missing, from the ledger and from the logs of the executions. What is there is left as it is."""
        ...

    async def list_path_history(
        self, request: metering_pb2.ListPathHistoryRequest, /
    ) -> metering_pb2.ListPathHistoryResponse:
        """List the checkpoints that changed a file, with the machines that made them and what that cost."""
        ...

    async def get_exchange_rate(
        self, request: metering_pb2.GetExchangeRateRequest, /
    ) -> metering_pb2.ExchangeRate:
        """Get the exchange rate in force."""
        ...

    async def list_exchange_rates(
        self, request: metering_pb2.ListExchangeRatesRequest, /
    ) -> metering_pb2.ListExchangeRatesResponse:
        """List exchange rates, the newest first."""
        ...

    async def import_exchange_rates(
        self, request: metering_pb2.ImportExchangeRatesRequest, /
    ) -> metering_pb2.ImportExchangeRatesResponse:
        """Add dated exchange rates, all or none; those that are there already change nothing."""
        ...

    async def get_parked_calls(
        self, request: metering_pb2.GetParkedCallsRequest, /
    ) -> metering_pb2.ParkedCalls:
        """Tell which keys of providers are parked until their quota resets, in this process."""
        ...

    async def reserve_many(
        self, request: metering_pb2.ReserveManyRequest, /
    ) -> metering_pb2.ReserveManyResponse:
        """Hold the worst case of several calls; one verdict each, given after commit."""
        ...

    async def settle_many(
        self, request: metering_pb2.SettleManyRequest, /
    ) -> metering_pb2.SettleManyResponse:
        """Settle or release holds; one verdict each, given after commit."""
        ...

    async def record_usage_many(
        self, request: metering_pb2.RecordUsageManyRequest, /
    ) -> metering_pb2.RecordUsageManyResponse:
        """Record usage that was measured, all rows or none. Rows that are to be authorised must fit every budget that covers them; recorded ones are never refused."""
        ...

    async def get_budget_levels(
        self, request: metering_pb2.GetBudgetLevelsRequest, /
    ) -> metering_pb2.GetBudgetLevelsResponse:
        """Tell how full the budgets are that cover an execution: those of its task, of the tasks above and of its project, for what is sampled while a machine runs."""
        ...

    async def recover_reservations(
        self, request: metering_pb2.RecoverReservationsRequest, /
    ) -> metering_pb2.RecoverReservationsResponse:
        """Settle or release what a dead instance left, by rule: never forwarded is released, forwarded is settled at the full hold and marked uncertain."""
        ...


class ProjectService(Protocol):
    """Projects of one control plane."""

    async def create_project(
        self, request: projects_pb2.CreateProjectRequest, /
    ) -> projects_pb2.Project:
        """Create a project."""
        ...

    async def get_project(
        self, request: projects_pb2.GetProjectRequest, /
    ) -> projects_pb2.Project:
        """Get one project by id or name."""
        ...

    async def list_projects(
        self, request: projects_pb2.ListProjectsRequest, /
    ) -> projects_pb2.ListProjectsResponse:
        """List projects by name."""
        ...

    async def ensure_project(
        self, request: projects_pb2.EnsureProjectRequest, /
    ) -> projects_pb2.EnsureProjectResponse:
        """Find the project of a directory or of a name, or create it."""
        ...

    async def get_model_policy(
        self, request: projects_pb2.GetModelPolicyRequest, /
    ) -> projects_pb2.ModelPolicy:
        """Tell which models a project may call, under which names and where."""
        ...

    async def set_model_policy(
        self, request: projects_pb2.SetModelPolicyRequest, /
    ) -> projects_pb2.ModelPolicy:
        """State which models a project may call, in place of what was stated before; machines that start from now on follow it."""
        ...

    async def get_egress(
        self, request: projects_pb2.GetEgressRequest, /
    ) -> projects_pb2.Egress:
        """Tell which hosts the machines of a project may reach."""
        ...

    async def set_egress(
        self, request: projects_pb2.SetEgressRequest, /
    ) -> projects_pb2.Egress:
        """State which hosts the machines of a project may reach, in place of what was stated before; machines that start from now on follow it."""
        ...

    async def update_project(
        self, request: projects_pb2.UpdateProjectRequest, /
    ) -> projects_pb2.Project:
        """Change a project; what is not given stays."""
        ...

    async def add_project_member(
        self, request: projects_pb2.AddProjectMemberRequest, /
    ) -> projects_pb2.ProjectMember:
        """Let a user take part in a project, or change as what."""
        ...

    async def remove_project_member(
        self, request: projects_pb2.RemoveProjectMemberRequest, /
    ) -> projects_pb2.RemoveProjectMemberResponse:
        """Take a user out of a project."""
        ...

    async def list_project_members(
        self, request: projects_pb2.ListProjectMembersRequest, /
    ) -> projects_pb2.ListProjectMembersResponse:
        """List the members of a project by name. Admins see every project without being one."""
        ...


class QueueService(Protocol):
    """Workers and the orders that they claim."""

    async def register_worker(
        self, request: queue_pb2.RegisterWorkerRequest, /
    ) -> work_pb2.Worker:
        """Register a worker with what it can do, or find it by name."""
        ...

    async def heartbeat_worker(
        self, request: queue_pb2.HeartbeatWorkerRequest, /
    ) -> queue_pb2.HeartbeatWorkerResponse:
        """Say that a worker lives, and hear what is wanted of it."""
        ...

    async def sign_off_worker(
        self, request: queue_pb2.SignOffWorkerRequest, /
    ) -> work_pb2.Worker:
        """Say that a worker has ended in order: it is offline until it registers again."""
        ...

    async def claim_many(
        self, request: queue_pb2.ClaimManyRequest, /
    ) -> queue_pb2.ClaimManyResponse:
        """Claim the next orders that a worker may do, at most so many."""
        ...

    async def complete_many(
        self, request: queue_pb2.CompleteManyRequest, /
    ) -> queue_pb2.CompleteManyResponse:
        """Record how executions ended; each has a verdict of its own."""
        ...

    async def wait_for_work(
        self, request: queue_pb2.WaitForWorkRequest, /
    ) -> queue_pb2.WaitForWorkResponse:
        """Wait until there may be work, or something else is wanted of a worker."""
        ...

    async def request_stop(
        self, request: queue_pb2.RequestStopRequest, /
    ) -> queue_pb2.RequestStopResponse:
        """Ask whatever worker runs a task to stop it, after a last checkpoint."""
        ...

    async def list_workers(
        self, request: queue_pb2.ListWorkersRequest, /
    ) -> queue_pb2.ListWorkersResponse:
        """List workers, the newest first."""
        ...

    async def get_worker(
        self, request: queue_pb2.GetWorkerRequest, /
    ) -> work_pb2.Worker:
        """Get one worker."""
        ...

    async def drain_worker(
        self, request: queue_pb2.DrainWorkerRequest, /
    ) -> work_pb2.Worker:
        """Let a worker end what it does and claim nothing more; its process then ends."""
        ...

    async def list_work_orders(
        self, request: queue_pb2.ListWorkOrdersRequest, /
    ) -> queue_pb2.ListWorkOrdersResponse:
        """List the orders of a queue, the newest first."""
        ...

    async def get_work_order(
        self, request: queue_pb2.GetWorkOrderRequest, /
    ) -> queue_pb2.WorkOrder:
        """Get one order."""
        ...

    async def requeue_work_order(
        self, request: queue_pb2.RequeueWorkOrderRequest, /
    ) -> queue_pb2.WorkOrder:
        """Queue the task of a dead order again, from its newest consistent checkpoint."""
        ...

    async def set_queue_limit(
        self, request: queue_pb2.SetQueueLimitRequest, /
    ) -> queue_pb2.QueueShare:
        """Say how many tasks of a project may run at once; 0 takes the limit away."""
        ...


class TransferService(Protocol):
    """The objects of the server's checkpoint store, for workers that do not share it."""

    async def describe_store(
        self, request: transfer_pb2.DescribeStoreRequest, /
    ) -> transfer_pb2.DescribeStoreResponse:
        """Say which store this is, and which process answers."""
        ...

    async def get_snapshot_objects(
        self, request: transfer_pb2.GetSnapshotObjectsRequest, /
    ) -> transfer_pb2.GetSnapshotObjectsResponse:
        """Return the ids of the objects that a snapshot needs, in order."""
        ...

    async def get_objects(
        self, request: transfer_pb2.GetObjectsRequest, /
    ) -> transfer_pb2.GetObjectsResponse:
        """Return objects, as many of those asked for as fit into one answer."""
        ...

    async def find_missing_objects(
        self, request: transfer_pb2.FindMissingObjectsRequest, /
    ) -> transfer_pb2.FindMissingObjectsResponse:
        """Return those of some objects that the store does not have."""
        ...

    async def put_objects(
        self, request: transfer_pb2.PutObjectsRequest, /
    ) -> transfer_pb2.PutObjectsResponse:
        """Keep objects; each is checked, and all are durable, or none is kept."""
        ...

    async def name_snapshot(
        self, request: transfer_pb2.NameSnapshotRequest, /
    ) -> transfer_pb2.NameSnapshotResponse:
        """Name a snapshot of which everything has been sent as that of a checkpoint, durably."""
        ...
