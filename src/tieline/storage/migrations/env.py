"""What Alembic runs: the missing steps, in the transaction that ``storage.migrate`` hands over."""

from alembic import context

from tieline.storage.schema import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    transactional_ddl=True,
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()
