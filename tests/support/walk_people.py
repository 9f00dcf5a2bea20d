"""The part of a walk in which people come, get tokens and projects, and go."""

from __future__ import annotations

import contextlib

from walk import Walk

from autovibe.kernel.errors import AutovibeError
from autovibe.v1 import audit_pb2, browsers_pb2, identity_pb2, projects_pb2

PASSWORD = "correct horse"


async def people(going: Walk) -> None:
    """Call every rpc on people, tokens and the audit trail."""
    identity = going.services.identity
    ada = await identity.create_user(
        identity_pb2.CreateUserRequest(
            username="ada", email="ada@example.org", role="developer", password=PASSWORD
        )
    )
    await identity.create_user(
        identity_pb2.CreateUserRequest(
            username="robot", email="robot@example.org", role="viewer", is_service_account=True
        )
    )
    await identity.create_user(
        identity_pb2.CreateUserRequest(
            username="eve", email="eve@example.org", role="admin", password=PASSWORD
        )
    )
    for named in ("ada", ada.id):
        await identity.get_user(identity_pb2.GetUserRequest(user_id=named))
    await identity.list_users(identity_pb2.ListUsersRequest(page_size=1, order_by="-created_at"))
    await identity.update_user(
        identity_pb2.UpdateUserRequest(user_id="ada", full_name="Ada ü", etag=ada.etag)
    )
    session = await identity.login(identity_pb2.LoginRequest(username="ada", password=PASSWORD))
    await identity.set_password(
        identity_pb2.SetPasswordRequest(user_id="ada", new_password=PASSWORD[::-1])
    )
    made = await identity.create_token(
        identity_pb2.CreateTokenRequest(name="ci", user_id="robot", scopes=["tasks.read"])
    )
    await identity.create_token(identity_pb2.CreateTokenRequest(name="w", for_worker=True))
    await identity.list_tokens(identity_pb2.ListTokensRequest(user_id="robot"))
    await identity.note_token_use(identity_pb2.NoteTokenUseRequest(token_id=made.token.id))
    await identity.revoke_token(identity_pb2.RevokeTokenRequest(token_id=made.token.id))
    await identity.who_am_i(identity_pb2.WhoAmIRequest())
    link = await identity.create_browser_link(browsers_pb2.CreateBrowserLinkRequest())
    opening = browsers_pb2.OpenBrowserSessionRequest(link=link.path.rpartition("/")[2])
    await identity.open_browser_session(opening)
    await identity.logout(identity_pb2.LogoutRequest())
    await _members(going)
    for refused in (
        identity.open_browser_session(opening),
        identity.login(identity_pb2.LoginRequest(username="ada", password=PASSWORD)),
        identity.authenticate_token(identity_pb2.AuthenticateTokenRequest(token=session.token)),
        identity.verify_email(identity_pb2.VerifyEmailRequest(token="avt_none")),
        identity.request_email_verification(identity_pb2.RequestEmailVerificationRequest()),
        identity.change_password(
            identity_pb2.ChangePasswordRequest(current_password="a", new_password=PASSWORD)
        ),
        identity.update_user(identity_pb2.UpdateUserRequest(user_id="ada", etag="old")),
    ):
        with contextlib.suppress(AutovibeError):
            await refused
    await identity.delete_user(identity_pb2.DeleteUserRequest(user_id="ada"))
    await _trail(going)


async def _members(going: Walk) -> None:
    projects = going.services.projects
    await projects.update_project(
        projects_pb2.UpdateProjectRequest(project="website", description="Ours", greediness="0.7")
    )
    await projects.add_project_member(
        projects_pb2.AddProjectMemberRequest(project="website", user_id="ada", role="viewer")
    )
    for named in ("robot", "eve"):
        await projects.add_project_member(
            projects_pb2.AddProjectMemberRequest(project="website", user_id=named)
        )
    await projects.list_project_members(projects_pb2.ListProjectMembersRequest(project="website"))
    for _ in range(2):  # the second time there is nobody to remove
        with contextlib.suppress(AutovibeError):
            await projects.remove_project_member(
                projects_pb2.RemoveProjectMemberRequest(project="website", user_id="ada")
            )


async def _trail(going: Walk) -> None:
    audit = going.services.audit
    await audit.list_audit_records(
        audit_pb2.ListAuditRecordsRequest(operation="CreateProject", page_size=1)
    )
    sealed = await audit.seal_audit(audit_pb2.SealAuditRequest())
    await audit.verify_audit(audit_pb2.VerifyAuditRequest())
    await audit.verify_audit(audit_pb2.VerifyAuditRequest(after_seal_id=sealed.seal.id))
