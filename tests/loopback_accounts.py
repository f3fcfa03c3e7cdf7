"""What the Hub on the loopback interface answers to those with an account: new repositories, commits, pull requests."""

import base64
import json
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import yaml
from loopback_answers import Answers, Refused, blob_hash, front_matter, moment

if TYPE_CHECKING:
    from loopback_hub import Account, PullRequest, Repo


class Accounts(Answers):
    """One connection, on which more than reading may be asked for."""

    def _route(self, request: list[str]) -> None:
        match request:
            case ["GET", "api", "whoami-v2"]:
                self._json(self._signed_in().whoami)
            case ["POST", "api", "repos", "create"]:
                self._create()
            case ["POST", "api", "validate-yaml"]:
                self._validate()
            case ["POST", "api", "models", user, name, "preupload", revision]:
                self._preupload(f"{user}/{name}", revision)
            case ["POST", "api", "models", user, name, "commit", revision]:
                self._commit(f"{user}/{name}", revision)
            case ["GET", "api", "models", user, name, "discussions"]:
                self._discussions(f"{user}/{name}")
            case ["GET", "api", "models", user, name, "discussions", number]:
                self._discussion(f"{user}/{name}", number)
            case ["POST", "api", "models", user, name, "discussions", number, "merge"]:
                self._merge(f"{user}/{name}", number)
            case ["POST", "api", "models", user, name, "discussions", number, "status"]:
                self._close(f"{user}/{name}", number)
            case _:
                super()._route(request)

    def _signed_in(self, writes: bool = False) -> "Account":
        if self.account is None:
            # The client takes any 401 about a repository for its absence, but only at addresses with https.
            code = "RepoNotFound" if self.path.startswith("/api/models/") else ""
            raise Refused(HTTPStatus.UNAUTHORIZED, "Invalid username or password.", code)
        if writes and self.account.role == "read":
            raise Refused(HTTPStatus.FORBIDDEN, "Forbidden: you must use a write token to upload to a repository.")
        return self.account

    def _create(self) -> None:
        account = self._signed_in(writes=True)
        asked = json.loads(self.body)
        user = asked.get("organization") or account.name
        name = f"{user}/{asked['name']}"
        url = f"{self.hub.endpoint}/{name}"
        if user != account.name:
            message = f'You don\'t have the rights to create a model under the namespace "{user}"'
            raise Refused(HTTPStatus.FORBIDDEN, message)
        if name in self.hub.repos:
            raise Refused(HTTPStatus.CONFLICT, "You already created this model repo", url=url)
        self.hub.new(name, {".gitattributes": b"*.safetensors filter=lfs diff=lfs merge=lfs -text\n"})
        self._json({"url": url, "name": name})

    def _validate(self) -> None:
        """Check only that it is YAML: the real Hub checks much more in a card."""
        try:
            empty = not front_matter(json.loads(self.body)["content"])
        except yaml.YAMLError as error:
            errors = [{"message": str(error)}]
            raise Refused(HTTPStatus.BAD_REQUEST, "Invalid metadata", errors=errors, warnings=[]) from error
        warnings = [{"message": "empty or missing yaml metadata in repo card"}] if empty else []
        self._json({"errors": [], "warnings": warnings})

    def _may_commit(self, name: str, repo: "Repo", revision: str) -> "Account":
        account = self._signed_in(writes=True)
        authors = [pull.author for pull in repo.pulls if pull.branch == revision]
        if account.name not in (owner(name), *authors) and "create_pr" not in self.asked:
            message = "Forbidden: pass `create_pr=1` as a query parameter to create a Pull Request"
            raise Refused(HTTPStatus.FORBIDDEN, message)
        return account

    def _preupload(self, name: str, revision: str) -> None:
        repo, commit = self._find(name, revision)
        self._may_commit(name, repo, revision)
        present = {file: blob_hash(data) for file, data in repo.commits[commit].items()}
        paths = [file["path"] for file in json.loads(self.body)["files"]]
        about = {"uploadMode": "regular", "shouldIgnore": False}
        # The client leaves out of a commit whatever has the hash that it would get.
        self._json({"files": [{"path": path, **about, "oid": present.get(path)} for path in paths]})

    def _commit(self, name: str, revision: str) -> None:
        repo, parent = self._find(name, revision)
        account = self._may_commit(name, repo, revision)
        header, *operations = map(json.loads, self.body.splitlines())
        if header["value"].get("parentCommit", parent) != parent:
            message = "A commit has happened since. Please refresh and try again."
            raise Refused(HTTPStatus.PRECONDITION_FAILED, message)
        files = dict(repo.commits[parent])
        for operation in operations:
            match operation:
                case {"key": "file", "value": {"path": path, "content": content, "encoding": "base64"}}:
                    files[path] = base64.b64decode(content)
                case {"key": "deletedFile", "value": {"path": path}} if path in files:
                    del files[path]
                case _:
                    raise Refused(HTTPStatus.BAD_REQUEST, f"This Hub does not know {operation['key']!r} of that file")
        answer = {"success": True, "hookOutput": ""}
        if "create_pr" in self.asked:
            pull = repo.propose(files, account.name, header["value"]["summary"], parent)
            answer["pullRequestUrl"] = f"{self.hub.endpoint}/{name}/discussions/{pull.number}"
            oid = repo.branches[pull.branch]
        else:
            oid = repo.commit(files, revision)
        self._json({**answer, "commitUrl": f"{self.hub.endpoint}/{name}/commit/{oid}", "commitOid": oid})

    def _told(self, name: str, pull: "PullRequest") -> dict[str, Any]:
        return {
            "num": pull.number,
            "title": pull.title,
            "author": {"name": pull.author},
            "status": pull.status,
            "createdAt": moment(pull.created),
            "isPullRequest": True,
            "repo": {"name": name, "type": "model"},
        }

    def _discussions(self, name: str) -> None:
        repo, _ = self._find(name, "main")
        pulls = [pull for pull in repo.pulls if self.asked.get("status", ["all"]) in (["all"], [pull.status])]
        pulls = [pull for pull in pulls if self.asked.get("author", [pull.author]) == [pull.author]]
        told = [self._told(name, pull) for pull in reversed(pulls)]
        self._json({"discussions": told, "count": len(told), "start": 0})

    def _pull(self, name: str, number: str) -> "tuple[Repo, PullRequest]":
        repo, _ = self._find(name, "main")
        for pull in repo.pulls:
            if str(pull.number) == number:
                return repo, pull
        raise Refused(HTTPStatus.NOT_FOUND, "Discussion not found")

    def _discussion(self, name: str, number: str) -> None:
        repo, pull = self._pull(name, number)
        conflicts = repo.conflicts(pull) if pull.status == "open" else []
        changes = {"base": "refs/heads/main", "mergeCommitId": pull.merged}
        self._json({**self._told(name, pull), "changes": changes, "filesWithConflicts": conflicts, "events": []})

    def _close(self, name: str, number: str) -> None:
        _, pull = self._pull(name, number)
        if self._signed_in(writes=True).name not in (owner(name), pull.author):
            raise Refused(HTTPStatus.FORBIDDEN, "Forbidden: only the author and the owner may close it")
        pull.status = json.loads(self.body)["status"]
        about = {"id": "1", "type": "status-change", "createdAt": moment(pull.created), "author": {"name": "x"}}
        self._json({"newStatus": {**about, "data": {"status": pull.status}}})

    def _merge(self, name: str, number: str) -> None:
        repo, pull = self._pull(name, number)
        if self._signed_in(writes=True).name != owner(name):
            raise Refused(HTTPStatus.FORBIDDEN, "Forbidden: only who may write to the repository may merge")
        if pull.status != "open":
            raise Refused(HTTPStatus.BAD_REQUEST, f"This Pull Request is {pull.status}")
        if conflicts := repo.conflicts(pull):
            raise Refused(HTTPStatus.CONFLICT, f"Conflicts in {', '.join(conflicts)}")
        repo.merge(pull)
        self._json({"mergeCommitId": pull.merged})


def owner(name: str) -> str:
    """The owner of a repository of that name."""
    return name.removeprefix("spaces/").partition("/")[0]
